//! The codecs of headers, masks and close frames.

use switchboard::wire::length;
use switchboard::wire::websocket::{Close, CloseCode, Header, LONGEST_CONTROL, LONGEST_HEADER, Mask};

/// Four bytes are a header and encode to themselves.
pub fn length(data: &[u8]) {
    let Some(&bytes) = data.first_chunk() else { return };
    let header = length::Header::decode(bytes);
    assert_eq!(header.encode(), bytes);
    assert!(header.body_len() <= length::Header::LONGEST_BODY);
    assert_eq!(length::Header::new(header.kind(), header.body_len()), Some(header));
    assert_eq!(length::Header::new(header.kind(), header.body_len() + length::Header::LONGEST_BODY + 1), None);
}

/// Any bytes as the start of a frame; the rest of them is masked.
pub fn websocket_header(data: &[u8]) {
    let verdict = Header::decode(data);
    for cut in 0..data.len().min(LONGEST_HEADER) {
        let early = Header::decode(&data[..cut]);
        assert!(early == Ok(None) || early == verdict, "{cut} bytes gave {early:?}, all of them {verdict:?}");
    }
    let Ok(Some((header, size))) = verdict else { return };
    let mut again = Vec::new();
    header.encode(&mut again);
    assert_eq!(again, data[..size]);
    assert!(header.len >> 63 == 0 && (!header.opcode.is_control() || header.fin));
    assert!(!header.opcode.is_control() || header.len <= LONGEST_CONTROL as u64);
    if let Some(mask) = header.mask {
        mask_in_pieces(mask, &data[size - 4..size], &data[size..]);
    }
}

fn mask_in_pieces(mask: Mask, key: &[u8], plain: &[u8]) {
    let expected: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    let mut masked = plain.to_vec();
    let (front, back) = masked.split_at_mut(plain.len() / 3);
    mask.rotated(front.len()).apply(back);
    mask.apply(front);
    assert_eq!(masked, expected);
    mask.apply(&mut masked);
    assert_eq!(masked, plain);
}

/// Any bytes as the payload of a close frame.
pub fn websocket_close(data: &[u8]) {
    let Ok(Some(close)) = Close::decode(data) else { return };
    assert_eq!(CloseCode::new(close.code.get()), Some(close.code));
    let mut again = Vec::new();
    close.encode(&mut again);
    assert!(again.len() <= LONGEST_CONTROL);
    assert!(data.starts_with(&again) && (again == data || data.len() > LONGEST_CONTROL));
    assert!(matches!(Close::decode(&again), Ok(Some(_))));
}
