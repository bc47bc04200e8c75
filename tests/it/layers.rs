//! Dependencies between modules: each may only point down the list of layers, and few files may
//! import each other in a cycle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::RandomState,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use petgraph::{Directed, algo::tarjan_scc, graphmap::GraphMap};
use syn::{
    Attribute, Item, ItemMod, UseTree,
    visit::{self, Visit},
};

/// Folders and files of `src`, from the highest layer to the lowest. ARCHITECTURE.md shows the
/// same list.
const LAYERS: [&str; 36] = [
    "commands",
    "settings",
    "cli",
    "flags",
    "report",
    "coverage",
    "run",
    "doctor",
    "browser",
    "targets",
    "aux_service",
    "image",
    "mesh",
    "mutation",
    "plan",
    "fixture",
    "toolchain",
    "event",
    "cluster",
    "scenario",
    "verdict",
    "observe",
    "evidence",
    "transport",
    "private_dir",
    "stamp",
    "output",
    "seed",
    "exit",
    "env",
    "yaml",
    "values",
    "wait",
    "timeouts",
    "errors",
    "text",
];

type Module = Vec<String>;

/// The modules of the library as the compiler finds them, without test modules, and the names
/// that each uses.
#[derive(Default)]
struct Tree {
    files: BTreeMap<Module, PathBuf>,
    names: BTreeMap<Module, BTreeSet<Module>>,
    /// What `pub use` in a `mod.rs` refers to.
    shown: BTreeMap<Module, Module>,
}

/// Whether an item with these attributes is compiled for tests only.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let message = attribute.meta.require_list();
        attribute.path().is_ident("cfg")
            && message.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn child(parent: &[String], name: &str) -> Module {
    parent.iter().cloned().chain([name.to_owned()]).collect()
}

/// The segments of a path below the crate, as seen from `here`; `None` for paths that begin
/// elsewhere.
fn absolute(parts: &[String], here: &[String]) -> Option<Module> {
    let (first, rest) = parts.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([here, rest].concat()),
        "super" => {
            let ups = parts.iter().take_while(|word| *word == "super").count();
            let base = here.len().checked_sub(ups)?;
            Some([&here[..base], &parts[ups..]].concat())
        }
        _ => None,
    }
}

fn leaves(tree: &UseTree, before: &[String], found: &mut Vec<Module>) {
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &child(before, &path.ident.to_string()), found),
        UseTree::Name(name) if name.ident == "self" => found.push(before.to_vec()),
        UseTree::Name(name) => found.push(child(before, &name.ident.to_string())),
        UseTree::Rename(name) => found.push(child(before, &name.ident.to_string())),
        UseTree::Glob(_) => found.push(before.to_vec()),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| leaves(tree, before, found)),
    }
}

/// Collects the names of its own crate that a file uses.
struct Names<'a> {
    here: &'a [String],
    found: BTreeSet<Module>,
}

impl Names<'_> {
    fn take(&mut self, parts: &[String]) {
        self.found.extend(absolute(parts, self.here));
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        found.iter().for_each(|message| self.take(message));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let message: Module = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if message.len() > 1 {
            self.take(&message);
        }
        visit::visit_path(self, path);
    }

    /// Arguments of macros are not a syntax tree: paths in them are found by their text.
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let text = called.tokens.to_string().replace(" :: ", "::");
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for path in text.split(|c| !word(c)).filter(|path| path.contains("::")) {
            let message: Module = path.split("::").map(str::to_owned).collect();
            self.take(&message);
        }
        visit::visit_macro(self, called);
    }
}

impl Tree {
    fn read(&mut self, module: Module, path: PathBuf) {
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_root = path.ends_with("mod.rs") || path.ends_with("lib.rs");
        let mut names = Names {
            here: &module,
            found: BTreeSet::new(),
        };
        names.visit_file(&file);
        let found = names.found;
        for item in &file.items {
            match item {
                Item::Mod(item) if item.content.is_none() && !is_test(&item.attrs) => {
                    self.below(&module, &path, is_root, item);
                }
                Item::Use(item) if is_root => self.show(&module, item),
                _ => {}
            }
        }
        self.names.insert(module.clone(), found);
        self.files.insert(module, path);
    }

    fn below(&mut self, module: &[String], path: &Path, is_root: bool, item: &ItemMod) {
        let name = item.ident.to_string();
        let folder = path.parent().expect("a folder");
        let folder = if is_root {
            folder.to_owned()
        } else {
            path.with_extension("")
        };
        let beside = folder.join(format!("{name}.rs"));
        let within = folder.join(&name).join("mod.rs");
        let file = if beside.is_file() { beside } else { within };
        self.read(child(module, &name), file);
    }

    fn show(&mut self, module: &[String], item: &syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &[], &mut found);
        for message in found {
            let from = absolute(&message, module).unwrap_or_else(|| [module, &message].concat());
            let last = message.last().expect("a name");
            self.shown.insert(child(module, last), from);
        }
    }

    /// The file that defines a name: resolves re-exports of a `mod.rs`, which may refer to other
    /// re-exports.
    fn file_of(&self, name: &[String]) -> Option<&Module> {
        (1..=name.len()).rev().find_map(|at| {
            let file = self.files.get_key_value(&name[..at]);
            let shown = || self.file_of(self.shown.get(&name[..at])?);
            file.map(|(module, _)| module).or_else(shown)
        })
    }
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let mut tree = Tree::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    tree.read(Vec::new(), root);
    assert!(
        tree.files.len() > 300,
        "only {} modules found",
        tree.files.len()
    );
    tree
});

#[test]
fn arrows_point_down() {
    let tree = &*TREE;
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut wrong = Vec::new();
    for (module, names) in &tree.names {
        let Some(from) = module.first() else { continue };
        let Some(own) = layer(from) else {
            panic!("src/{from} is not in the list: add it to LAYERS, and to ARCHITECTURE.md");
        };
        for name in names {
            let there = name.first().and_then(|to| layer(to));
            if there.is_some_and(|there| there < own) {
                wrong.push(format!(
                    "{} names crate::{}",
                    tree.files[module].display(),
                    name.join("::")
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these dependencies point up the list of layers:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn few_files_import_each_other() {
    let tree = &*TREE;
    let mut graph: GraphMap<&Module, (), Directed, RandomState> = GraphMap::new();
    for (module, names) in &tree.names {
        if tree.files[module].ends_with("mod.rs") {
            continue;
        }
        for name in names {
            let Some(to) = tree.file_of(name) else {
                continue;
            };
            let names_only =
                tree.files[to].ends_with("mod.rs") || tree.files[to].ends_with("lib.rs");
            if to != module && !names_only {
                graph.add_edge(module, to, ());
            }
        }
    }
    let circles = tarjan_scc(&graph)
        .into_iter()
        .filter(|circle| circle.len() > 2);
    let mut reported: Vec<String> = circles
        .map(|circle| {
            let mut files: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            files.sort();
            files.join(" ")
        })
        .collect();
    reported.sort();
    assert!(
        reported.is_empty(),
        "these files import each other in a cycle:\n{}",
        reported.join("\n")
    );
}
