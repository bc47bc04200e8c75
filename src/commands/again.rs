//! The commands that reproduce a run, written from clap's definition of `run` and the flags that
//! were given.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::{
    flags::{
        given::Given,
        table::{Repeats, Value},
    },
    report::text::shell_word,
    scenario::{
        Suites,
        again::absolute,
        load::{SelectionWord, Tree, selection},
        loaded::LoadedScenario,
    },
    seed::Seed,
    text::glob,
};

/// The command that repeats the whole run from any folder of this machine (of any machine, if the
/// scenarios are built in).
pub fn whole(given: &[Given], seed: Seed, scenarios: &[LoadedScenario]) -> String {
    let message = given.iter().find(|given| given.id == "paths");
    let message = message.map_or(&[][..], |given| &given.values);
    let mut command = vec!["meshproof".to_owned(), "run".to_owned()];
    command.extend(paths(message, scenarios).iter().map(shell_word));
    command.extend(flags(given, seed, &[Repeats::Always, Repeats::Run]));
    command.join(" ")
}

/// The arguments after `meshproof run SCENARIO` that repeat one scenario of the run, quoted for a
/// shell.
pub fn each(given: &[Given], seed: Seed) -> Vec<String> {
    flags(given, seed, &[Repeats::Always])
}

fn flags(given: &[Given], seed: Seed, expected: &[Repeats]) -> Vec<String> {
    let mut message = Vec::new();
    for given in given {
        let Some(entry) = given
            .entry()
            .filter(|entry| expected.contains(&entry.again))
        else {
            continue;
        };
        if given.values.is_empty() {
            message.push(given.flag.clone());
        }
        for value in &given.values {
            let value = match entry.value {
                Value::Word => value.clone(),
                Value::File => file(value),
                Value::Image => image(value),
            };
            message.extend([given.flag.clone(), shell_word(&value)]);
        }
    }
    message.extend(["--seed".to_owned(), seed.to_string()]);
    message
}

/// The absolute path of an existing file; any other value (a program in PATH, `multi`) unchanged.
fn file(value: &OsStr) -> OsString {
    match std::path::absolute(value) {
        Ok(whole) if whole.exists() => whole.into_os_string(),
        _ => value.to_owned(),
    }
}

/// `NAME=DIR[,…]` with the directory's absolute path.
fn image(value: &OsStr) -> OsString {
    let whole = value.to_str().and_then(|text| {
        let (name, rest) = text.split_once('=')?;
        let (dir, entrypoint) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
        Some(format!("{name}={}{entrypoint}", absolute(dir)))
    });
    whole.map_or_else(|| value.to_owned(), OsString::from)
}

/// The arguments that name the same scenarios in any folder.
fn paths(args: &[OsString], scenarios: &[LoadedScenario]) -> Vec<OsString> {
    let built_in = scenarios.iter().all(LoadedScenario::is_built_in);
    let suites = Suites::open(Path::new("."));
    let root = match &suites.tree {
        Tree::Disk(root) if !built_in => root,
        _ if args.is_empty() => return Vec::new(),
        Tree::Disk(root) => root,
        Tree::Embedded => Path::new(""),
    };
    if args.is_empty() {
        return vec![file(root.as_os_str())];
    }
    let each = args.iter().map(|word| {
        let path = Path::new(word);
        match selection(path) {
            Ok(SelectionWord::Ids(_)) if built_in => vec![word.clone()],
            Ok(SelectionWord::Ids(pattern)) => below(root, &pattern, scenarios),
            _ if built_in => ids(path, scenarios),
            _ => vec![file(word)],
        }
    });
    each.flatten().collect()
}

/// Files and folders that match a pattern over the ids of suites on disk.
fn below(root: &Path, pattern: &str, scenarios: &[LoadedScenario]) -> Vec<OsString> {
    let folder = root.join(pattern);
    if folder.is_dir() {
        return vec![file(folder.as_os_str())];
    }
    let named = scenarios
        .iter()
        .filter(|loaded| loaded.id == pattern || glob(pattern, &loaded.id));
    named
        .flat_map(LoadedScenario::again)
        .map(OsString::from)
        .collect()
}

/// The ids of built-in scenarios that a path on disk names: a single one for a folder of an area,
/// none for all scenarios.
fn ids(path: &Path, scenarios: &[LoadedScenario]) -> Vec<OsString> {
    let parts: Vec<_> = path.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == "suites");
    let inside: std::path::PathBuf = parts.iter().skip(at.map_or(0, |at| at + 1)).collect();
    let inside = inside
        .to_string_lossy()
        .trim_end_matches(".yaml")
        .to_owned();
    match (at, inside.is_empty()) {
        (Some(_), true) => Vec::new(),
        (Some(_), false) => vec![inside.into()],
        (None, _) => {
            let all = scenarios.iter().map(|loaded| loaded.id.clone().into());
            all.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::*;
    use crate::{
        cli::{self, Cli},
        flags::table,
        settings,
    };

    /// The flags that `meshproof run WORDS` gives.
    fn given(args: &[&str]) -> Vec<Given> {
        let command = Cli::command().mut_subcommand("run", |run| run.mut_args(|arg| arg.env(None)));
        let matches = command.get_matches_from(["meshproof", "run"].iter().chain(args));
        Cli::from_arg_matches(&matches).expect("matches of the same definition");
        cli::given(&["run"], matches.subcommand_matches("run").expect("run"))
    }

    /// Each flag of clap's definition is in both commands, or the table says why not, and clap
    /// parses it back unchanged.
    #[test]
    fn every_flag_survives_or_is_left_out_on_purpose() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").expect("run");
        let mut survived = 0;
        for arg in run.get_arguments().chain(cli.get_arguments()) {
            let id = arg.get_id().as_str();
            let Some(long) = arg
                .get_long()
                .filter(|long| !["help", "version"].contains(long))
            else {
                continue;
            };
            let flag = format!("--{long}");
            let mut args = vec![flag.as_str()];
            if arg.get_action().takes_values() {
                args.push(settings::example(id));
            }
            let was = given(&args);
            assert_eq!(was.len(), 1, "{args:?} gives {was:?}");
            let entry = table::find(id).expect("in the table");
            let seed = Seed::new(5);
            let whole = whole(&was, seed, &[]);
            let each = format!("meshproof run x {}", each(&was, seed).join(" "));
            for (command, repeats) in [
                (whole, entry.again != Repeats::Never),
                (each, entry.again == Repeats::Always),
            ] {
                let read = shlex(&command);
                assert_eq!(&read[..2], ["meshproof", "run"], "{command}");
                let again = given(&read[2..].iter().map(String::as_str).collect::<Vec<_>>());
                let own = again.iter().find(|given| given.id == id && id != "seed");
                assert_eq!(own, was.first().filter(|_| repeats), "{flag}: {command}");
                let of_run = again.iter().find(|given| given.id == "seed");
                assert_eq!(
                    of_run.map(Given::to_args),
                    Some(vec!["5".to_owned()]),
                    "{command}"
                );
                survived += usize::from(repeats);
            }
        }
        assert!(survived > 40, "{survived}");
    }

    /// Splits a command line that is quoted with single quotes only.
    fn shlex(line: &str) -> Vec<String> {
        let (mut message, mut quoted, mut word) = (Vec::new(), false, String::new());
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => message.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        message.push(word);
        message
    }

    #[test]
    fn a_flag_that_came_by_a_variable_is_written_as_a_flag() {
        let by_variable = Given {
            variable: Some("MESHPROOF_NODES".into()),
            ..given(&["--nodes", "multi"]).remove(0)
        };
        let command = whole(&[by_variable], Seed::new(1), &[]);
        assert_eq!(command, "meshproof run --nodes multi --seed 1");
    }

    #[test]
    fn files_are_absolute_and_words_for_the_shell_are_quoted() {
        let here = std::env::current_dir().expect("a folder");
        let args = [
            "--istioctl",
            "src/lib.rs",
            "--image",
            "a=src,/x y",
            "--name",
            "o'n",
        ];
        let command = each(&given(&args), Seed::new(1)).join(" ");
        let here = here.display();
        let expected = format!(
            "--name 'o'\\''n' --image 'a={here}/src,/x y' --istioctl {here}/src/lib.rs --seed 1"
        );
        assert_eq!(command, expected);
    }

    #[test]
    fn built_in_scenarios_are_named_alike_everywhere() {
        let suites = Suites {
            tree: Tree::Embedded,
        };
        let word = "routing/canary";
        let set = crate::scenario::load_all(&suites, &[word.into()]).expect("loaded");
        for word in ["routing/canary", "suites/routing/canary.yaml"] {
            let command = whole(&given(&[word]), Seed::new(1), &set.scenarios);
            assert_eq!(command, "meshproof run routing/canary --seed 1");
        }
        assert_eq!(
            whole(&given(&["suites"]), Seed::new(1), &set.scenarios),
            "meshproof run --seed 1"
        );
    }

    #[test]
    fn suites_of_ones_own_are_named_by_their_absolute_path() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("suites/mine/new.yaml");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::copy("suites/routing/canary.yaml", &file).expect("copied");
        let suites = Suites {
            tree: Tree::Embedded,
        };
        for word in [
            &file,
            &dir.path().join("suites/mine"),
            &dir.path().to_owned(),
        ] {
            let set =
                crate::scenario::load_all(&suites, std::slice::from_ref(word)).expect("loaded");
            let word = word.display().to_string();
            let command = whole(&given(&[&word]), Seed::new(1), &set.scenarios);
            assert_eq!(command, format!("meshproof run {word} --seed 1"));
        }
    }

    #[test]
    fn a_path_that_is_no_text_can_still_be_pasted() {
        use std::os::unix::ffi::OsStrExt as _;
        let word = shell_word(OsStr::from_bytes(b"out/\xff"));
        assert_eq!(word, r"$'out/\xff'");
    }
}
