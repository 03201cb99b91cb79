//! The layer rule: a module uses only modules of a lower layer, its parents' own items and its own children.
//!
//! Every path in the token stream counts, not `use` lines only: `crate::a::b` wherever it stands, and `super::super`
//! as far as it climbs. Macro bodies and attributes are tokens too.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// The layer of each top-level module.
const LAYERS: &[(&str, u8)] =
    &[("machine", 1), ("wire", 2), ("link", 3), ("stack", 4), ("transport", 5), ("hub", 6), ("sim", 6), ("connect", 7)];

/// Whose modules see each other: the parts of one contract or one machine, and codecs that share a cursor.
const OPEN: &[&str] = &["machine", "wire", "hub", "sim", "connect"];

type Module = Vec<String>;

#[test]
fn every_path_points_to_a_lower_layer_or_into_the_own_house() {
    let mut violations = Vec::new();
    let mut seen = 0;
    for (file, module) in modules() {
        let text = fs::read_to_string(&file).unwrap();
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for path in crate_paths(tokens, &module) {
            seen += 1;
            if let Some(rule) = violation(&module, &path) {
                violations.push(format!("{}: {} uses {}: {rule}", file.display(), module.join("::"), path.join("::")));
            }
        }
    }
    println!("{seen} paths checked");
    assert!(seen > 100, "only {seen} paths were found: the test looks in the wrong place");
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn every_top_level_module_has_a_layer() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    for (_, module) in modules() {
        let Some(top) = module.first() else { continue };
        assert!(layers.contains_key(top.as_str()), "module {top} has no layer");
    }
}

#[test]
fn the_rule_finds_what_it_forbids() {
    let paths = |module: &str, code: &str| -> Vec<bool> {
        let module: Module = module.split("::").map(str::to_owned).collect();
        crate_paths(code.parse().unwrap(), &module).iter().map(|path| violation(&module, path).is_some()).collect()
    };
    assert_eq!(paths("link::tls", "use crate::machine::buf::Buf;"), [false]);
    assert_eq!(paths("link::tls", "fn f() { crate::stack::stream::x() }"), [true]);
    assert_eq!(paths("link::tls", "use crate::link::http::X;"), [true]);
    assert_eq!(paths("link::tls", "use super::http::X;"), [true]);
    assert_eq!(paths("link::tls::config", "use super::super::http::X;"), [true]);
    assert_eq!(paths("link::tls", "use crate::{machine::buf, wire::x, stack::y};"), [false, false, true]);
    assert_eq!(paths("link::tls", "m! { crate::connect::X }"), [true]);
    assert_eq!(paths("transport::stream", "use super::Transport;"), [false]);
    assert_eq!(paths("machine::pump", "use super::buf::Buf;"), [false]);
    assert_eq!(paths("machine::pump", "use super::super::wire::X;"), [true]);
}

/// Whether `module` may not use `path`, and why.
fn violation(module: &[String], path: &[String]) -> Option<&'static str> {
    let layer = |module: &[String]| {
        let top = module.first()?;
        LAYERS.iter().find(|(name, _)| name == top).map(|(_, layer)| *layer)
    };
    let (Some(from), Some(to)) = (layer(module), layer(path)) else { return None };
    if to > from {
        return Some("it is of a higher layer");
    }
    if to < from || (module[0] == path[0] && OPEN.contains(&module[0].as_str())) {
        return None;
    }
    if module[0] != path[0] {
        return Some("siblings of one layer do not see each other");
    }
    let house = module.get(1);
    match path.get(1) {
        Some(room) if house.is_some_and(|house| house != room) && is_module(&path[..2]) => {
            Some("siblings of one layer do not see each other")
        }
        _ => None,
    }
}

fn is_module(path: &[String]) -> bool {
    let base = source().join(path.iter().collect::<PathBuf>());
    base.with_extension("rs").exists()
}

/// All absolute paths in a token stream: `crate::…` as written, `super::…` resolved against `module`.
fn crate_paths(tokens: TokenStream, module: &[String]) -> Vec<Module> {
    let mut paths = Vec::new();
    walk(&tokens.into_iter().collect::<Vec<_>>(), module, &mut paths);
    paths
}

fn walk(tokens: &[TokenTree], module: &[String], paths: &mut Vec<Module>) {
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => {
                walk(&group.stream().into_iter().collect::<Vec<_>>(), module, paths);
                at += 1;
            }
            TokenTree::Ident(ident) if ident == "crate" => at = collect(tokens, at + 1, Vec::new(), paths),
            TokenTree::Ident(ident) if ident == "super" => {
                let (base, next) = climb(tokens, at, module);
                at = collect(tokens, next, base, paths);
            }
            _ => at += 1,
        }
    }
}

fn climb(tokens: &[TokenTree], mut at: usize, module: &[String]) -> (Module, usize) {
    let mut base = module.to_vec();
    base.pop();
    at += 1;
    while is_separator(tokens, at) && matches!(tokens.get(at + 2), Some(TokenTree::Ident(ident)) if ident == "super") {
        base.pop();
        at += 3;
    }
    (base, at)
}

/// Follows `::a::b` and `::{a, b::c}` from `at`; answers where it stopped.
fn collect(tokens: &[TokenTree], mut at: usize, base: Module, paths: &mut Vec<Module>) -> usize {
    let mut path = base;
    while is_separator(tokens, at) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(ident)) => path.push(ident.to_string()),
            Some(TokenTree::Group(group)) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                for part in inner.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')) {
                    if let Some(TokenTree::Ident(first)) = part.first() {
                        let mut base = path.clone();
                        base.push(first.to_string());
                        collect(part, 1, base, paths);
                    }
                }
                return at + 3;
            }
            _ => break,
        }
        at += 3;
    }
    if !path.is_empty() {
        paths.push(path);
    }
    at
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(at) && colon(at + 1)
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of the library with the module that it is; `lib.rs` is above the rule.
fn modules() -> Vec<(PathBuf, Module)> {
    let mut files = Vec::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("src/lib.rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let module = |file: &Path| -> Module {
        let relative = file.strip_prefix(source()).unwrap().with_extension("");
        relative.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    files.into_iter().map(|file| (file.clone(), module(&file))).collect()
}
