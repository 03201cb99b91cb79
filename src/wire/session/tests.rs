use super::*;

fn records() -> Vec<Record<'static>> {
    let run = |form, alive| Run { channel: 300, number: 70_000, form, alive };
    vec![
        Record::Run(run(Form::Messages, None), b"\x05hello\x00"),
        Record::Run(run(Form::Fragment { begin: true, end: false }, Some(69_990)), &[7; 300]),
        Record::Run(run(Form::Fragment { begin: false, end: true }, Some(70_000)), b""),
        Record::Ack(Ack { channel: 1, next: 5, granted: None, ranges: &[] }),
        Record::Ack(Ack { channel: 1, next: 5, granted: Some(1 << 40), ranges: &[1, 1, 3, 0x80, 1] }),
        Record::Forward { channel: 2, oldest: u64::MAX },
        Record::Blocked { channel: u16::MAX },
        Record::Ping(1),
        Record::Pong(u64::MAX),
        Record::Suspect { path: 3 },
        Record::Attach { path: 255 },
        Record::Bye { code: 9, text: "so long" },
        Record::ByeAck,
    ]
}

fn taken(bytes: &[u8]) -> Result<Record<'_>, BadRecord> {
    Record::take(&mut Cursor::new(bytes))
}

#[test]
fn records_come_back_one_after_the_other() {
    let mut bytes = Vec::new();
    records().iter().for_each(|record| record.put(&mut bytes));
    let mut cursor = Cursor::new(&bytes);
    for record in records() {
        assert_eq!(Record::take(&mut cursor), Ok(record));
    }
    assert!(cursor.is_empty());
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    for record in records() {
        let mut bytes = Vec::new();
        record.put(&mut bytes);
        for cut in 0..bytes.len() {
            assert!(taken(&bytes[..cut]).is_err(), "{record:?} cut at {cut}");
        }
    }
}

#[test]
fn a_run_to_the_end_of_the_packet_has_no_length_until_something_follows() {
    let run = Run { channel: 1, number: 2, form: Form::Messages, alive: None };
    let mut bytes = vec![0xee];
    let body = run.put(&mut bytes);
    bytes.extend_from_slice(&[200; 200]);
    assert_eq!(bytes.len(), 1 + 3 + 200);
    assert_eq!(taken(&bytes[1..]), Ok(Record::Run(run, &[200; 200])));
    assert_eq!(Run::bound(&mut bytes, 1, body), 2);
    Record::ByeAck.put(&mut bytes);
    let mut cursor = Cursor::new(&bytes[1..]);
    assert_eq!(Record::take(&mut cursor), Ok(Record::Run(run, &[200; 200])));
    assert_eq!(Record::take(&mut cursor), Ok(Record::ByeAck));
}

#[test]
fn heads_come_back() {
    let key = SessionKey([3; 16]);
    let heads = [
        Head::Handshake { step: 2 },
        Head::Sealed { counter: 1 << 40 },
        Head::Plain,
        Head::Attach { key, counter: 7 },
        Head::Unknown { key },
    ];
    for head in heads {
        let mut bytes = Vec::new();
        head.put(&mut bytes);
        bytes.push(0xaa);
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(Head::take(&mut cursor), Ok(head));
        assert_eq!(cursor.rest(), [0xaa]);
    }
    assert_eq!(Head::take(&mut Cursor::new(&[0])), Err(BadHead::Kind(0)));
}

#[test]
fn what_contradicts_itself_is_refused() {
    assert_eq!(taken(&[RUN | BEGIN, 0, 0, 0]), Err(BadRecord::Kind(RUN | BEGIN)));
    assert_eq!(taken(&[RUN | 16, 0, 0, 0]), Err(BadRecord::Kind(RUN | 16)));
    assert_eq!(taken(&[RUN | ALIVE, 0, 4, 5, 0]), Err(BadRecord::Alive));
    assert_eq!(taken(&[BLOCKED, 0x80, 0x80, 4]), Err(BadRecord::Channel));
    assert_eq!(taken(&[ACK, 0, 0, 65]), Err(BadRecord::Ranges));
    assert_eq!(taken(&[ACK, 0, 0, 1, 0, 1]), Err(BadRecord::Ranges));
    assert_eq!(taken(&[ACK, 0, 0, 1, 1, 0]), Err(BadRecord::Ranges));
    assert_eq!(taken(&[63]), Err(BadRecord::Kind(63)));
    let mut long = vec![BYE, 0, 201, 1];
    long.extend_from_slice(&[b'x'; 201]);
    assert_eq!(taken(&long), Err(BadRecord::Text));
}

#[test]
fn a_text_is_cut_between_characters() {
    let text = "ä".repeat(150);
    assert_eq!(cut_text(&text).len(), 200);
    assert_eq!(cut_text(&format!("x{text}")).len(), 199);
    assert_eq!(cut_text("short"), "short");
}
