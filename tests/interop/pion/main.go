// Data channels of pion with a native peer of ours, RTC_PEER, which sends back every message on the channel that it came
// by. Both channels "bulk" (0: reliable, unordered) and "quick" (1: sent once) are negotiated; either side opens others in
// band, ours when it is told to.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

type test struct {
	sentence string
	offers   string
	run      func(*scene) error
}

func tests() (all []test) {
	for _, offers := range []string{"pion", "peer"} {
		all = append(all,
			test{offers + " offers: 10,000 messages of 4 bytes to 16 KiB come back by the reliable channel", offers, manyComeBack},
			test{offers + " offers: messages come back by the channel that sends once", offers, mostComeBack},
			test{offers + " offers: channels of every kind open in band and carry messages to 256 KiB", offers, everyKind},
			test{offers + " offers: a channel that pion closes is closed, and its number serves again", offers, closedAndOpened},
			test{offers + " offers: a channel that our peer opens carries messages, and is closed when our peer closes it", offers, openedByOurs},
			test{offers + " offers: text, bytes and one byte come back as what they were", offers, kindsOfMessages},
		)
	}
	return all
}

func main() {
	words, passed, failed := strings.Join(os.Args[1:], " "), 0, 0
	for _, test := range tests() {
		if !strings.Contains(test.sentence, words) {
			continue
		}
		if err := play(test); err != nil {
			failed++
			fmt.Printf("FAILED  %s\n    %v\n", test.sentence, err)
		} else {
			passed++
			fmt.Printf("ok      %s\n", test.sentence)
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

func play(test test) error {
	s, err := connect(test.offers)
	defer s.end()
	if err != nil {
		return err
	}
	return test.run(s)
}

func manyComeBack(s *scene) error {
	lengths := make([]int, 10_000)
	for at := range lengths {
		lengths[at] = 4 + at*at%1000
		if at%100 == 0 {
			lengths[at] = 16 * 1024
		}
	}
	if err := s.bulk.echoes(lengths); err != nil {
		return err
	}
	return s.counted(s.bulk, len(lengths))
}

// What pion counts itself, on its side.
func (s *scene) counted(t *talk, messages int) error {
	stats, ok := s.connection.GetStats().GetDataChannelStats(t.channel)
	if !ok {
		return fmt.Errorf("pion has no statistics of the channel")
	}
	if int(stats.MessagesSent) != messages || int(stats.MessagesReceived) != messages {
		return fmt.Errorf("pion counts %d messages out and %d in, of %d", stats.MessagesSent, stats.MessagesReceived, messages)
	}
	return nil
}

func mostComeBack(s *scene) error {
	const count = 100
	for at := range count {
		if err := s.quick.send(numbered(at, 500)); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	back := 0
	for end := time.After(2 * time.Second); back < count; back++ {
		select {
		case message := <-s.quick.heard:
			if at := numberOf(message.Data); string(message.Data) != string(numbered(at, 500)) {
				return fmt.Errorf("message %d is not as it was", at)
			}
		case <-end:
			if back < 90 {
				return fmt.Errorf("%d of %d came back on the loopback", back, count)
			}
			return nil
		}
	}
	return nil
}

func everyKind(s *scene) error {
	yes, no, some, long := true, false, uint16(20), uint16(20_000)
	kinds := map[string]*webrtc.DataChannelInit{
		"ordered":                        {Ordered: &yes},
		"unordered":                      {Ordered: &no},
		"ordered, some retransmissions":  {Ordered: &yes, MaxRetransmits: &some},
		"unordered, some lifetime":       {Ordered: &no, MaxPacketLifeTime: &long},
		"ordered, some lifetime":         {Ordered: &yes, MaxPacketLifeTime: &long},
		"unordered with retransmissions": {Ordered: &no, MaxRetransmits: &some},
	}
	lengths := []int{4, 1000, 1172, 16 * 1024, 65_535, 65_536, 256*1024 - 1, 256 * 1024, 5, 70_000}
	for label, init := range kinds {
		t, err := s.open(label, init)
		if err != nil {
			return err
		}
		if err := wait(t.opened, "the channel "+label); err != nil {
			return err
		}
		if err := t.echoes(lengths); err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
	}
	return nil
}

func closedAndOpened(s *scene) error {
	var first *uint16
	for round := range 5 {
		t, err := s.open(fmt.Sprint("round ", round), nil)
		if err != nil {
			return err
		}
		if err := wait(t.opened, "the channel"); err != nil {
			return err
		}
		if err := t.echoes([]int{100, 2000, 4}); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if first == nil {
			first = t.channel.ID()
		}
		if err := t.channel.Close(); err != nil {
			return err
		}
		if err := wait(t.closed, "the end of the channel"); err != nil {
			return err
		}
	}
	return s.bulk.echoes([]int{10, 20_000})
}

func openedByOurs(s *scene) error {
	coming := make(chan *talk)
	s.connection.OnDataChannel(func(channel *webrtc.DataChannel) { coming <- talkBy(channel) })
	for round := range 5 {
		label := fmt.Sprint("round ", round)
		if err := s.bulk.channel.SendText("open " + label); err != nil {
			return err
		}
		var t *talk
		select {
		case t = <-coming:
		case <-time.After(patience):
			return fmt.Errorf("no channel comes in round %d", round)
		}
		if t.channel.Label() != label || !t.channel.Ordered() {
			return fmt.Errorf("the channel %q, ordered: %v", t.channel.Label(), t.channel.Ordered())
		}
		if err := wait(t.opened, "the channel"); err != nil {
			return err
		}
		if err := t.echoes([]int{100, 70_000, 4}); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if err := t.channel.SendText("close"); err != nil {
			return err
		}
		if err := wait(t.closed, "the end of the channel"); err != nil {
			return err
		}
	}
	return s.bulk.echoes([]int{10, 20_000})
}

func kindsOfMessages(s *scene) error {
	ask := func(send func() error, wanted string, isText bool) error {
		if err := send(); err != nil {
			return err
		}
		message, err := s.bulk.next(nil)
		if err != nil {
			return err
		}
		if string(message.Data) != wanted || message.IsString != isText {
			return fmt.Errorf("%d bytes, text: %v, in place of %d, text: %v", len(message.Data), message.IsString, len(wanted), isText)
		}
		return nil
	}
	for _, length := range []int{1, 3, 1000, 100_000} {
		text := strings.Repeat("é", length)
		if err := ask(func() error { return s.bulk.channel.SendText(text) }, text, true); err != nil {
			return err
		}
		if err := ask(func() error { return s.bulk.channel.Send([]byte(text)) }, text, false); err != nil {
			return err
		}
	}
	return nil
}
