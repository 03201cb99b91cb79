//! The README's table of limits names every limit there is.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs;
use std::path::Path;

#[test]
fn the_readme_lists_every_limit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/machine/limits.rs")).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let table = readme.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    let file: syn::File = syn::parse_file(&source).unwrap();
    let fields = file.items.iter().find_map(|item| match item {
        syn::Item::Struct(item) if item.ident == "Limits" => Some(&item.fields),
        _ => None,
    });
    let names: Vec<_> = fields.unwrap().iter().map(|field| field.ident.as_ref().unwrap().to_string()).collect();
    assert!(names.len() > 5);
    for name in names {
        assert!(table.contains(&format!("`{name}`")), "`{name}` is not in the README's table of limits");
    }
}
