use super::*;

/// The transaction id of all vectors of RFC 5769.
const ID: TransactionId = TransactionId([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769, section 2.1.
const SAMPLE_REQUEST: &str = "
    00010058 2112a442 b7e7a701bc34d686fa87dfae
    80220010 5354554e207465737420636c69656e74
    00240004 6e0001ff 80290008 932ff9b151263b36
    00060009 6576746a3a68367659202020
    00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf";
/// RFC 5769, section 2.2.
const SAMPLE_V4_RESPONSE: &str = "
    0101003c 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220 00200008 0001a147e112a643
    00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96";
/// RFC 5769, section 2.3.
const SAMPLE_V6_RESPONSE: &str = "
    01010048 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220 00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
    00080014 a382954e4be67bf11784c97c8292c275bfe3ed41 80280004 c8fb0b4c";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A request without a fingerprint, with these attributes.
fn request(attributes: &str) -> Vec<u8> {
    let attributes = bytes(attributes);
    let length = format!("{:04x}", attributes.len());
    [bytes(&format!("0001{length} 2112a442 b7e7a701bc34d686fa87dfae")), attributes].concat()
}

fn broken(data: &[u8]) -> Malformed {
    Message::parse(data).map(|message| message.body).unwrap_err()
}

fn success(data: &[u8]) -> Success {
    match Message::parse(data).unwrap().body {
        Body::Success(success) => success,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_sample_request_is_read() {
    let data = bytes(SAMPLE_REQUEST);
    let message = Message::parse(&data).unwrap();
    assert_eq!(message.id, ID);
    let username = Some("evtj:h6vY".to_owned());
    let request = Request { username, ..Request::default() };
    // PRIORITY is of ICE, which this codec does not speak.
    assert_eq!(message.body, Body::Request { request, unknown: vec![0x0024] });
    assert!(message.is_signed_by(PASSWORD) && !message.is_signed_by("another"));
}

#[test]
fn the_sample_responses_are_read() {
    for (vector, mapped) in
        [(SAMPLE_V4_RESPONSE, "192.0.2.1:32853"), (SAMPLE_V6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let data = bytes(vector);
        let message = Message::parse(&data).unwrap();
        let software = Some("test vector".to_owned());
        let expected = Success { mapped: Some(mapped.parse().unwrap()), software, ..Success::default() };
        assert_eq!((message.id, &message.body), (ID, &Body::Success(expected)));
        assert!(message.is_signed_by(PASSWORD));
    }
}

#[test]
fn what_was_written_is_read_again() {
    let asked = Request {
        change: Change::BOTH,
        response_port: Some(4000),
        padding: Some(5),
        username: Some("them:me".to_owned()),
    };
    for data in [asked.encode(ID), asked.encode_signed(ID, PASSWORD)] {
        let body = Message::parse(&data).unwrap().body;
        assert_eq!(body, Body::Request { request: asked.clone(), unknown: Vec::new() });
    }
    let told = Success {
        mapped: Some("192.0.2.1:32853".parse().unwrap()),
        origin: Some("[2001:db8::1]:3478".parse().unwrap()),
        other: Some("192.0.2.3:3479".parse().unwrap()),
        padding: Some(1500),
        software: Some("switchboard".to_owned()),
    };
    assert_eq!(success(&told.encode(ID)), told);
    let signed = told.encode_signed(ID, PASSWORD);
    assert!(Message::parse(&signed).unwrap().is_signed_by(PASSWORD));
    let refused = encode_error(ID, 420, &[0x0024], None);
    assert_eq!(Message::parse(&refused).unwrap().body, Body::Error { code: 420 });
}

#[test]
fn servers_of_rfc_3489_tell_the_address_in_the_clear() {
    let data = bytes("0101000c 2112a442 b7e7a701bc34d686fa87dfae 00010008 00018055c0000201");
    assert_eq!(success(&data).mapped, Some("192.0.2.1:32853".parse().unwrap()));
}

#[test]
fn a_change_of_the_port_is_two_bytes_or_four() {
    for value in ["0002 0fa0 0000", "0004 0fa0 0000"] {
        let data = request(&format!("0027 {value}"));
        let Body::Request { request, .. } = Message::parse(&data).unwrap().body else { panic!("not a request") };
        assert_eq!(request.response_port, Some(4000), "{value}");
    }
}

#[test]
fn each_rule_that_is_broken_is_named() {
    let good = Request::default().encode(ID);
    let changed = |at: usize, byte: u8| {
        let mut data = good.clone();
        data[at] = byte;
        data
    };
    assert_eq!(broken(b""), Malformed::Length);
    assert_eq!(broken(&good[..19]), Malformed::Length);
    assert_eq!(broken(&changed(0, 0x80)), Malformed::NotStun);
    assert_eq!(broken(&changed(4, 0x22)), Malformed::NotStun);
    assert_eq!(broken(&[&good[..], &[0; 4]].concat()), Malformed::Length);
    assert_eq!(broken(&changed(good.len() - 1, !good[good.len() - 1])), Malformed::Fingerprint);
    assert_eq!(broken(&request("8022 0008 00000000")), Malformed::Attributes);
    assert_eq!(broken(&request("0003 0004 00000000 00")), Malformed::Length);
    assert_eq!(broken(&request("0003 0008 0000000000000000")), Malformed::Value(CHANGE_REQUEST));
    assert_eq!(broken(&request("0027 0002 00000000")), Malformed::Value(RESPONSE_PORT));
    assert_eq!(broken(&request("0006 0002 ffff0000")), Malformed::Value(0x0006));
    assert_eq!(broken(&bytes("00030000 2112a442 b7e7a701bc34d686fa87dfae")), Malformed::Method);
    assert_eq!(broken(&bytes("01110000 2112a442 b7e7a701bc34d686fa87dfae")), Malformed::NoErrorCode);
}

#[test]
fn nothing_follows_a_fingerprint() {
    let mut data = Request::default().encode(ID);
    data.extend(bytes("0003 0004 00000006"));
    data[3] += 8;
    assert_eq!(broken(&data), Malformed::Order);
}

#[test]
fn no_prefix_and_no_flipped_bit_panics() {
    let good = bytes(SAMPLE_REQUEST);
    for end in 0..good.len() {
        assert!(Message::parse(&good[..end]).is_err(), "{end} bytes");
    }
    for bit in 0..good.len() * 8 {
        let mut data = good.clone();
        data[bit / 8] ^= 1 << (bit % 8);
        _ = Message::parse(&data).map(|message| message.is_signed_by(PASSWORD));
    }
}
