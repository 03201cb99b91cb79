//! The core, built for WebAssembly, asks its host for nothing: no clock and no entropy hides in it.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs the target wasm32-unknown-unknown; the stage `wasm` of tests/run adds it and runs this"]
fn the_core_as_webassembly_imports_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let status = Command::new(env!("CARGO"))
        .args(["rustc", "--locked", "--profile", "ci", "--lib", "--no-default-features", "--features", "ws"])
        .args(["--target", "wasm32-unknown-unknown", "--crate-type", "cdylib"])
        .current_dir(root)
        .status()
        .unwrap();
    assert!(status.success());
    let module = std::fs::read(target.join("wasm32-unknown-unknown/ci/switchboard.wasm")).unwrap();
    println!("{} bytes", module.len());
    assert_eq!(imports(&module), 0, "the module imports something from its host");
}

#[test]
fn imports_are_counted_where_there_are_some() {
    let with_one = b"\0asm\x01\0\0\0\x01\x01\0\x02\x07\x01\x01a\x01b\x00\x00";
    assert_eq!(imports(with_one), 1);
    assert_eq!(imports(b"\0asm\x01\0\0\0"), 0);
}

/// The number of imports: sections are an id, a length and a content (WebAssembly core, section 5.5).
fn imports(module: &[u8]) -> u32 {
    assert!(module.starts_with(b"\0asm"), "not a WebAssembly module");
    let mut rest = &module[8..];
    while let Some((id, after)) = rest.split_first() {
        let (length, content) = varint(after);
        if *id == 2 {
            return varint(content).0;
        }
        rest = &content[length as usize..];
    }
    0
}

fn varint(bytes: &[u8]) -> (u32, &[u8]) {
    let len = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let value = bytes[..len].iter().rev().fold(0, |value, byte| value << 7 | u32::from(byte & 0x7f));
    (value, &bytes[len..])
}
