//! Errors are types: a `Result` whose error is a `String` has neither a cause nor a class. The
//! number of those that remain is counted, and may only decrease.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Expr, ExprLit, GenericArgument, Item, Lit, Meta, PathArguments, Type,
    visit::{self, Visit},
};

use super::{comments::sources, layers::is_test};

/// Allowed number of `Result<_, String>` in code that is not a test. The parsers of command line
/// values are among them and may stay: clap shows their message unchanged.
const BUDGET: usize = 3;

/// The file named by `#[path]`.
fn named(attributes: &[Attribute]) -> Option<String> {
    let found = attributes.iter().find(|one| one.path().is_ident("path"))?;
    let Meta::NameValue(pair) = &found.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

/// Files that are test modules, as declared in the file beside them.
fn tests_of(path: &Path, file: &syn::File) -> Vec<PathBuf> {
    let folder = path.parent().expect("a folder");
    let modules = file.items.iter().filter_map(|item| match item {
        Item::Mod(item) if item.content.is_none() && is_test(&item.attrs) => Some(item),
        _ => None,
    });
    let paths = modules.map(|item| {
        let name = named(&item.attrs).unwrap_or_else(|| format!("{}.rs", item.ident));
        folder.join(name)
    });
    paths.collect()
}

/// The count in a file.
#[derive(Default)]
struct Strings(usize);

impl<'ast> Visit<'ast> for Strings {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        if segment.ident == "Result"
            && let PathArguments::AngleBracketed(arguments) = &segment.arguments
            && let (2, Some(GenericArgument::Type(Type::Path(error)))) =
                (arguments.args.len(), arguments.args.last())
            && error.path.is_ident("String")
        {
            self.0 += 1;
        }
        visit::visit_path_segment(self, segment);
    }
}

#[test]
fn results_whose_error_is_a_string_only_become_fewer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths.sort();
    let files: Vec<(PathBuf, syn::File)> = paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a file");
            let file = syn::parse_file(&text);
            let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, file)
        })
        .collect();
    assert!(files.len() > 300, "only {} files found", files.len());
    let tests: BTreeSet<PathBuf> = files
        .iter()
        .flat_map(|(path, file)| tests_of(path, file))
        .collect();
    let (mut count, mut reported) = (0, String::new());
    for (path, file) in files.iter().filter(|(path, _)| !tests.contains(path)) {
        let mut strings = Strings::default();
        strings.visit_file(file);
        if strings.0 > 0 {
            let path = path.strip_prefix(&root).unwrap_or(path).display();
            reported.push_str(&format!("{:4}  {path}\n", strings.0));
        }
        count += strings.0;
    }
    assert!(
        count <= BUDGET,
        "found {count}, but only {BUDGET} are allowed: make the error a type with a cause and a class (src/errors.rs).\n{reported}"
    );
}
