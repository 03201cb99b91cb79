//! Where one message ends on a byte stream (RFC 8656, section 12.5; RFC 8489, section 6.2.2).

/// Bytes that tell a message's length.
const HEAD: usize = 4;
/// Bytes of a STUN message before its attributes.
const STUN_HEADER: usize = 20;

/// Finds the messages in a stream. Those that lie whole in a received chunk are lent from it; of one that spans chunks
/// the beginning is kept, growing with arrival, at most 65,556 bytes.
#[derive(Debug, Default)]
pub struct Splitter {
    held: Vec<u8>,
}

/// What comes is no TURN: where the next message begins can't be known any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what comes is no TURN")]
pub struct NotTurn;

impl Splitter {
    /// Lends each whole message.
    ///
    /// # Errors
    /// Something else came; whole messages before it were lent.
    pub fn receive(&mut self, mut data: &mut [u8], each: &mut dyn FnMut(&mut [u8])) -> Result<(), NotTurn> {
        while !self.held.is_empty() && !data.is_empty() {
            let wanted = length(&self.held)?.unwrap_or(HEAD);
            let taken = (wanted - self.held.len()).min(data.len());
            let (now, rest) = data.split_at_mut(taken);
            self.held.extend_from_slice(now);
            data = rest;
            if length(&self.held)? == Some(self.held.len()) {
                each(&mut std::mem::take(&mut self.held));
            }
        }
        while let Some(length) = length(data)?.filter(|length| *length <= data.len()) {
            let (message, rest) = data.split_at_mut(length);
            each(message);
            data = rest;
        }
        if !data.is_empty() {
            self.held = data.to_vec();
        }
        Ok(())
    }

    /// Bytes of memory that it owns.
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }
}

/// The length of the message that begins there; none: too little has come to tell.
fn length(data: &[u8]) -> Result<Option<usize>, NotTurn> {
    let Some(first) = data.first() else { return Ok(None) };
    let is_channel = match first >> 6 {
        0 => false,
        1 => true,
        _ => return Err(NotTurn),
    };
    let Some(head) = data.first_chunk::<HEAD>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match is_channel {
        true => Ok(Some(HEAD + length.next_multiple_of(4))),
        false if length % 4 == 0 => Ok(Some(STUN_HEADER + length)),
        false => Err(NotTurn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(splitter: &mut Splitter, data: &[u8]) -> Result<Vec<Vec<u8>>, NotTurn> {
        let mut messages = Vec::new();
        splitter.receive(&mut data.to_vec(), &mut |message| messages.push(message.to_vec()))?;
        Ok(messages)
    }

    #[test]
    fn however_a_stream_is_cut_the_same_messages_come() {
        let mut stream = vec![0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42];
        stream.extend([7; 16]);
        let stun = stream.clone();
        let channel = [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0];
        stream.extend(channel);
        for size in 1..=stream.len() {
            let mut splitter = Splitter::default();
            let messages: Vec<_> = stream.chunks(size).flat_map(|chunk| split(&mut splitter, chunk).unwrap()).collect();
            assert_eq!(messages, [&stun[..], &channel[..]], "chunks of {size}");
            assert_eq!(splitter.capacity(), 0);
        }
    }

    #[test]
    fn something_else_is_an_error() {
        assert_eq!(split(&mut Splitter::default(), b"\xffHTTP"), Err(NotTurn));
        assert_eq!(split(&mut Splitter::default(), &[0, 1, 0, 3]), Err(NotTurn));
    }
}
