// Two libdatachannel peers in one process over 127.0.0.1; each line on standard input is a number of messages to send.
import { createInterface } from 'node:readline';
import nd from 'node-datachannel';

const data = Buffer.alloc(Number(process.argv[2]), 7);
const [a, b] = ['a', 'b'].map((name) => new nd.PeerConnection(name, { iceServers: [], bindAddress: '127.0.0.1' }));
a.onLocalDescription((sdp, type) => b.setRemoteDescription(sdp, type));
b.onLocalDescription((sdp, type) => a.setRemoteDescription(sdp, type));
a.onLocalCandidate((candidate, mid) => b.addRemoteCandidate(candidate, mid));
b.onLocalCandidate((candidate, mid) => a.addRemoteCandidate(candidate, mid));

let left = 0, missing = 0, theirs;
b.onDataChannel((channel) => (theirs = channel).onMessage(() => { if (--missing === 0) console.log('done'); }));
const channel = a.createDataChannel('d');
channel.setBufferedAmountLowThreshold(1 << 19);
const send = () => {
  while (left > 0 && channel.bufferedAmount() < 1 << 20) {
    channel.sendMessageBinary(data);
    left--;
  }
};
channel.onBufferedAmountLow(send);
channel.onOpen(() => {
  console.log('ready');
  createInterface({ input: process.stdin }).on('line', (line) => {
    left = missing = Number(line);
    send();
  });
});
