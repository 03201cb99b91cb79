package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/pion/webrtc/v4"
)

// Our native peer: descriptions as lines of JSON on its standard input and output.
type peer struct {
	process *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
}

func startPeer(words ...string) (*peer, error) {
	process := exec.Command(os.Getenv("RTC_PEER"), words...)
	process.Stderr = os.Stderr
	input, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	return &peer{process, input, bufio.NewReader(output)}, nil
}

func (p *peer) tell(description *webrtc.SessionDescription) error {
	line, err := json.Marshal(description)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.input, "%s\n", line)
	return err
}

func (p *peer) description() (description webrtc.SessionDescription, err error) {
	line, err := p.output.ReadBytes('\n')
	if err != nil {
		return description, fmt.Errorf("the native peer has ended: %w", err)
	}
	return description, json.Unmarshal(line, &description)
}

func (p *peer) stop() {
	_ = p.process.Process.Kill()
	_ = p.process.Wait()
}
