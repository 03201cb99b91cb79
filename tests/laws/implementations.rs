//! Every machine and every transport of the library has a law test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use syn::visit::{Visit, visit_item_impl, visit_item_mod};
use syn::{Attribute, ItemImpl, ItemMod, Type};

const TRAITS: [&str; 2] = ["Machine", "Transport"];

type Test = fn();

/// The law tests of each implementation.
fn law_tests() -> BTreeMap<&'static str, Vec<Test>> {
    let worlds: [Test; 4] = [
        crate::tcp_keeps_the_laws_in_random_worlds,
        crate::tls_keeps_the_laws_in_random_worlds,
        crate::ws_keeps_the_laws_in_random_worlds,
        crate::wss_keeps_the_laws_in_random_worlds,
    ];
    let streams: [Test; 5] = [
        crate::every_kind_keeps_the_laws_whatever_its_owner_does,
        crate::the_same_seed_and_inputs_give_the_same_transcript,
        crate::the_same_seed_and_calls_give_the_same_world,
        crate::any_cutting_carries_the_same_messages,
        crate::any_cutting_of_the_same_bytes_is_the_same,
    ];
    let hubs: [Test; 3] = [
        crate::the_same_seed_and_calls_give_the_same_world_of_endpoints,
        crate::the_same_seed_and_calls_give_hubs_the_same_transcript,
        crate::any_cutting_below_hubs_carries_the_same_messages,
    ];
    let with = |world: Test| [&[world][..], &hubs].concat();
    let streams = [&worlds[..], &streams].concat();
    BTreeMap::from([
        ("Machine for Alone", streams.clone()),
        ("Machine for Box", vec![crate::a_boxed_machine_keeps_the_laws_in_random_worlds as Test]),
        ("Machine for Checked", vec![crate::a_checked_machine_keeps_the_laws_in_random_worlds as Test]),
        ("Machine for Endpoint", with(crate::endpoints_keep_the_laws_in_random_worlds)),
        ("Machine for Guard", worlds.to_vec()),
        ("Machine for Hub", with(crate::hubs_keep_the_laws_in_random_worlds)),
        ("Machine for Probe", vec![crate::probes_keep_the_laws_in_random_worlds as Test]),
        ("Machine for Rendezvous", vec![crate::probes_keep_the_laws_in_random_worlds as Test]),
        ("Machine for StunServer", vec![crate::probes_keep_the_laws_in_random_worlds as Test]),
        ("Machine for TurnServer", vec![crate::turn_servers_keep_the_laws_whatever_comes as Test]),
        ("Transport for Box", streams.clone()),
        ("Transport for Dialling", streams.clone()),
        ("Transport for Listening", streams),
        ("Transport for Serving", vec![crate::serving_keeps_the_laws_whatever_comes as Test]),
        ("Transport for Webrtc", vec![crate::direct_paths_keep_the_laws_whatever_happens as Test]),
        ("Transport for Offline", vec![crate::offline_keeps_the_laws_whatever_its_owner_does as Test]),
    ])
}

#[test]
fn every_machine_and_every_transport_has_a_law_test() {
    let found: BTreeSet<_> =
        sources().iter().flat_map(|path| implementations(&fs::read_to_string(path).unwrap())).collect();
    let (tests, found) = (law_tests(), found.iter().map(String::as_str).collect::<BTreeSet<_>>());
    println!("{found:?}");
    let listed: BTreeSet<_> = tests.iter().filter(|(_, tests)| !tests.is_empty()).map(|(name, _)| *name).collect();
    let without: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(without.is_empty(), "without a law test: {without:?}");
    assert!(gone.is_empty(), "listed but not implemented any more: {gone:?}");
}

#[test]
fn implementations_are_found_however_they_are_written() {
    let code = "
        impl Machine for Plain {}
        impl<T: Transport> crate::machine::Machine for Generic<T> where T: Sized {}
        impl<M: Machine + ?Sized> Machine for Box<M> {}
        mod inner { impl super::Transport for &mut a::Path<'_> {} }
        fn local() { impl Machine for (A, B) {} }
        impl Timer for Other {}
        impl Plain {}
        #[cfg(test)] mod tests { impl Machine for Script {} }
        #[cfg(feature = \"tls\")] mod tls { impl Transport for Sealed {} }
    ";
    let expected = [
        "Machine for Plain",
        "Machine for Generic",
        "Machine for Box",
        "Transport for Path",
        "Machine for a type without a name",
        "Transport for Sealed",
    ];
    assert_eq!(implementations(code), expected);
}

/// All sources but tests.
fn sources() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap_or_default();
            match path.extension() {
                _ if name == "tests" => {}
                None => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                Some(_) => {}
            }
        }
    }
    assert!(files.len() > 20, "only {} sources were found", files.len());
    files
}

fn implementations(code: &str) -> Vec<String> {
    let tokens: TokenStream = code.parse().unwrap();
    let mut finder = Finder(Vec::new());
    finder.visit_file(&syn::parse2(tokens).unwrap());
    finder.0
}

struct Finder(Vec<String>);

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !module.attrs.iter().any(is_for_tests) {
            visit_item_mod(self, module);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let of = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
        if let Some(of) = of.filter(|of| TRAITS.iter().any(|name| of.ident == name)) {
            self.0.push(format!("{} for {}", of.ident, name(&item.self_ty)));
        }
        visit_item_impl(self, item);
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else { return false };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

fn name(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default(),
        Type::Reference(reference) => name(&reference.elem),
        _ => "a type without a name".to_owned(),
    }
}
