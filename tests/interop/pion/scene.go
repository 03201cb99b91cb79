package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"
)

const patience = 30 * time.Second

// Bytes that pion is given before it says that what waits is low again.
const most = 1 << 20

// A connection of pion with our peer, and the two channels that both have agreed on.
type scene struct {
	connection  *webrtc.PeerConnection
	peer        *peer
	bulk, quick *talk
}

// One channel, and what has come by it.
type talk struct {
	channel *webrtc.DataChannel
	heard   chan webrtc.DataChannelMessage
	opened  chan struct{}
	closed  chan struct{}
	drained chan struct{}
}

// Connects. Who offers is "pion" or "peer".
func connect(offers string) (*scene, error) {
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	connection, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	s := &scene{connection: connection}
	if s.bulk, err = s.negotiated("bulk", 0, nil); err != nil {
		return s, err
	}
	once := uint16(0)
	if s.quick, err = s.negotiated("quick", 1, &once); err != nil {
		return s, err
	}
	var words []string
	if offers == "peer" {
		words = []string{"--offer"}
	}
	if s.peer, err = startPeer(words...); err != nil {
		return s, err
	}
	if offers == "peer" {
		err = s.answer()
	} else {
		err = s.offer()
	}
	if err != nil {
		return s, err
	}
	for _, t := range []*talk{s.bulk, s.quick} {
		if err := wait(t.opened, "an open channel"); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *scene) end() {
	if s.connection != nil {
		_ = s.connection.Close()
	}
	if s.peer != nil {
		s.peer.stop()
	}
}

func (s *scene) offer() error {
	offer, err := s.connection.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := s.describe(offer); err != nil {
		return err
	}
	answer, err := s.peer.description()
	if err != nil {
		return err
	}
	return s.connection.SetRemoteDescription(answer)
}

func (s *scene) answer() error {
	offer, err := s.peer.description()
	if err != nil {
		return err
	}
	if err := s.connection.SetRemoteDescription(offer); err != nil {
		return err
	}
	answer, err := s.connection.CreateAnswer(nil)
	if err != nil {
		return err
	}
	return s.describe(answer)
}

// Describes pion's side, once it has all its candidates.
func (s *scene) describe(description webrtc.SessionDescription) error {
	gathered := webrtc.GatheringCompletePromise(s.connection)
	if err := s.connection.SetLocalDescription(description); err != nil {
		return err
	}
	<-gathered
	return s.peer.tell(s.connection.LocalDescription())
}

func (s *scene) negotiated(label string, id uint16, retransmits *uint16) (*talk, error) {
	yes, no := true, false
	return s.open(label, &webrtc.DataChannelInit{Negotiated: &yes, ID: &id, Ordered: &no, MaxRetransmits: retransmits})
}

func (s *scene) open(label string, init *webrtc.DataChannelInit) (*talk, error) {
	channel, err := s.connection.CreateDataChannel(label, init)
	if err != nil {
		return nil, err
	}
	return talkBy(channel), nil
}

func talkBy(channel *webrtc.DataChannel) *talk {
	t := &talk{channel, make(chan webrtc.DataChannelMessage, 20_000), make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)}
	channel.SetBufferedAmountLowThreshold(most / 2)
	channel.OnBufferedAmountLow(func() {
		select {
		case t.drained <- struct{}{}:
		default:
		}
	})
	channel.OnOpen(func() { close(t.opened) })
	channel.OnClose(func() { close(t.closed) })
	channel.OnMessage(func(message webrtc.DataChannelMessage) { t.heard <- message })
	return t
}

// Sends a message, when not too much waits.
func (t *talk) send(message []byte) error {
	for t.channel.BufferedAmount() > most {
		if err := wait(t.drained, "room"); err != nil {
			return err
		}
	}
	return t.channel.Send(message)
}

// Sends messages of these lengths; all have to come back as they were, in order if the channel keeps it.
func (t *talk) echoes(lengths []int) error {
	failed := make(chan error, 1)
	go func() {
		for at, length := range lengths {
			if err := t.send(numbered(at, length)); err != nil {
				failed <- err
				return
			}
		}
	}()
	seen := make([]bool, len(lengths))
	for count := range lengths {
		message, err := t.next(failed)
		if err != nil {
			return fmt.Errorf("after %d messages: %w", count, err)
		}
		at := numberOf(message.Data)
		switch {
		case at >= len(lengths) || seen[at]:
			return fmt.Errorf("message %d came twice, or was never sent", at)
		case !bytes.Equal(message.Data, numbered(at, lengths[at])) || message.IsString:
			return fmt.Errorf("message %d is not as it was", at)
		case t.channel.Ordered() && at != count:
			return fmt.Errorf("message %d came in place of %d", at, count)
		}
		seen[at] = true
	}
	return nil
}

func (t *talk) next(failed <-chan error) (message webrtc.DataChannelMessage, err error) {
	select {
	case message = <-t.heard:
		return message, nil
	case err = <-failed:
		return message, err
	case <-t.closed:
		return message, errors.New("the channel is closed")
	case <-time.After(patience):
		return message, errors.New("no message comes")
	}
}

// Bytes that name their number, when there are four or more.
func numbered(at, length int) []byte {
	message := make([]byte, length)
	for place := range message {
		message[place] = byte(at + place + place>>8)
	}
	if length >= 4 {
		binary.BigEndian.PutUint32(message, uint32(at))
	}
	return message
}

func numberOf(message []byte) int {
	if len(message) < 4 {
		return 0
	}
	return int(binary.BigEndian.Uint32(message))
}

func wait(happens <-chan struct{}, what string) error {
	select {
	case <-happens:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s does not come", what)
	}
}
