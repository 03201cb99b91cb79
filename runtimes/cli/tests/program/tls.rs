//! Certificates on the command line.

use std::fs;

use crate::child::{Program, new_file, run};

#[test]
fn a_certificate_that_is_not_trusted_exits_with_3_and_advises_ca() {
    for runtime in ["tokio", "mio"] {
        let file = new_file(&format!("untrusted-{runtime}.pem"));
        let (_listener, string) = Program::listen(&["wss://127.0.0.1:0", "--self-signed", file.to_str().unwrap()]);
        let other = file_with_identity(&format!("other-{runtime}")).0;
        let ended = run(&["dial", &string, "--runtime", runtime, "--ca", &other], b"");
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains("--ca FILE"), "{}", ended.stderr);
    }
}

#[test]
fn a_listener_says_how_its_own_certificate_is_trusted() {
    let file = new_file("told.pem");
    let (mut listener, string) = Program::listen(&["wss://0.0.0.0:0/x", "--self-signed", file.to_str().unwrap()]);
    let told = listener.line();
    assert_eq!(told, format!("to dial it: switchboard dial --ca {} {string}", file.display()));
    let words: Vec<_> = told.split(' ').skip(4).collect();
    let ended = run(&words, b"hello\n");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(listener.read(6), b"hello\n");
}

#[test]
fn a_file_that_exists_is_not_overwritten_by_a_certificate() {
    let file = new_file("precious.pem");
    fs::write(&file, "precious").unwrap();
    let ended = run(&["listen", "tls:127.0.0.1:0", "--self-signed", file.to_str().unwrap()], b"");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_certificate_of_a_listener_that_never_listened_is_not_left_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (file, string) = (new_file("left.pem"), format!("tls:{}", taken.local_addr().unwrap()));
    assert_eq!(run(&["listen", &string, "--self-signed", file.to_str().unwrap()], b"").code, Some(3));
    assert!(!file.exists());
}

#[test]
fn both_sides_show_certificates_when_the_listener_asks_for_them() {
    let (server, server_key) = file_with_identity("server");
    let (client, client_key) = file_with_identity("client");
    let identity = ["--cert", &server, "--key", &server_key, "--ca", &client, "--echo"];
    let (mut listener, string) = Program::listen(&[&["tls:localhost:0"], &identity[..]].concat());
    let anonymous = run(&["dial", &string, "--ca", &server], b"x\n");
    assert_ne!(anonymous.code, Some(0), "{}", anonymous.stderr);
    assert!(listener.line().contains("did not become a link"));
    let known = ["dial", &string, "--ca", &server, "--cert", &client, "--key", &client_key, "--count", "1"];
    let ended = run(&known, b"x\n");
    assert_eq!((ended.code, ended.stdout.as_slice()), (Some(0), &b"x\n"[..]), "{}", ended.stderr);
}

#[test]
fn files_that_hold_no_certificate_or_the_wrong_key_exit_with_2() {
    let (cert, key) = file_with_identity("right");
    let (_, wrong_key) = file_with_identity("wrong");
    let empty = new_file("empty.pem");
    fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    for wrong in [
        &["--ca", empty][..],
        &["--ca", "/none"],
        &["--cert", &cert, "--key", &wrong_key],
        &["--cert", &key, "--key", &key],
    ] {
        let ended = run(&[&["dial", "tls:127.0.0.1:1"], wrong].concat(), b"");
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.stderr);
    }
    let nobody = run(&["listen", "tls:127.0.0.1:0"], b"");
    assert_eq!(nobody.code, Some(2), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("--self-signed"), "{}", nobody.stderr);
}

/// A certificate for localhost and its key, as files.
fn file_with_identity(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (new_file(&format!("{name}-cert.pem")), new_file(&format!("{name}-key.pem")));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned())
}
