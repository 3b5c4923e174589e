//! The folder of a layer: what of it is copied, with git as the oracle of ignore files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use accretion_core::Fault as _;
use accretion_core::request::FileRules;
use accretion_layer::files::{LeftOut, Reason};
use accretion_local::Error;
use accretion_local::layer_folder::LayerFolder;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn rules(hidden: &[&str], allowed: &[&str]) -> FileRules {
    let hidden = hidden.iter().map(|it| it.parse().unwrap()).collect();
    let allowed = allowed.iter().map(|it| (*it).to_owned()).collect();
    FileRules::new(hidden, allowed).unwrap()
}

async fn pack(folder: &Path, rules: &FileRules) -> Result<(BTreeSet<String>, LeftOut), Error> {
    let packed = LayerFolder::open(folder).unwrap().pack(rules).await?;
    let paths = packed.files().iter().map(|file| file.path.clone());
    Ok((paths.collect(), packed.left_out().clone()))
}

async fn packed(folder: &Path) -> BTreeSet<String> {
    pack(folder, &FileRules::default()).await.unwrap().0
}

/// The files that git would add.
fn of_git(folder: &Path) -> BTreeSet<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "core.excludesFile=/dev/null"]);
        let output = command.args(arguments).current_dir(folder).output();
        let output = output.expect("git is there");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["ls-files", "-z", "--others", "--exclude-standard"])
        .split_terminator('\0')
        .filter(|path| !path.split('/').any(|name| name.starts_with('.')))
        .map(ToOwned::to_owned)
        .collect()
}

fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("git")
        .args(["init", "-q", "."])
        .current_dir(folder.path())
        .status();
    assert!(made.unwrap().success());
    folder
}

const TREE: [(&str, &str); 26] = [
    ("a.py", ""),
    ("a.log", ""),
    ("keep.log", ""),
    ("build/a.py", ""),
    ("build/deep/a.py", ""),
    ("src/build/a.py", ""),
    ("src/a.log", ""),
    ("src/keep.log", ""),
    ("src/sub/a.tmp", ""),
    ("src/sub/a.txt", ""),
    ("src/sub/build", ""),
    ("data/a.csv", ""),
    ("data/b.csv", ""),
    ("data/deep/c.csv", ""),
    ("data/deep/er/d.csv", ""),
    ("x y.txt", ""),
    ("#hash", ""),
    ("!bang", ""),
    ("trail ", ""),
    ("foo/bar/baz/q.c", ""),
    ("foo/q.c", ""),
    ("q.c", ""),
    ("Case.TXT", ""),
    ("a1.o", ""),
    ("a[1].o", ""),
    ("docs/über.md", ""),
];

#[tokio::test]
async fn ignore_files_mean_what_they_mean_to_git() {
    let own: [&[(&str, &str)]; 12] = [
        &[(".gitignore", "*.log\nbuild/\n")],
        &[(".gitignore", "*.log\n!keep.log\n/build\n")],
        &[
            (".gitignore", "*.log\n"),
            ("src/.gitignore", "!keep.log\n*.tmp\n"),
        ],
        &[(".gitignore", "data/*\n!data/b.csv\n!data/deep/\n")],
        // What is in a folder that is left out can't be brought back.
        &[
            (".gitignore", "data/\n!data/b.csv\n"),
            ("data/.gitignore", "!*\n"),
        ],
        &[(".gitignore", "foo/**/q.c\n**/build\n")],
        &[(".gitignore", "foo/**\n!foo/bar/\n")],
        &[(
            ".gitignore",
            "\\#hash\n\\!bang\n# comment\n\n   \nx\\ y.txt\n",
        )],
        &[(".gitignore", "trail \ntrail\\ \n")],
        &[(".gitignore", "a[0-9].o\na\\[1\\].o\n[!q].c\n")],
        &[(".gitignore", "case.txt\n/src/*/a.t?t\nsub\r\n*.csv\r\n")],
        &[
            (".gitignore", "*\n!*/\n!*.py\n"),
            ("docs/.gitignore", "über.*"),
        ],
    ];
    for files in own {
        let folder = repository();
        write(folder.path(), &TREE);
        write(folder.path(), files);
        let expected = of_git(folder.path());
        assert!(expected.len() < TREE.len(), "{files:?}");
        assert_eq!(packed(folder.path()).await, expected, "{files:?}");
        // A folder of the repository is as its top has it, unless that leaves it out as a whole: who
        // names it means it.
        let is_left = |inner: &str| expected.iter().any(|path| path.starts_with(inner));
        for inner in ["src/", "data/", "foo/"]
            .into_iter()
            .filter(|it| is_left(it))
        {
            let inner = folder.path().join(inner);
            assert_eq!(packed(&inner).await, of_git(&inner), "{files:?} {inner:?}");
        }
    }
}

#[tokio::test]
async fn an_accretionignore_has_the_last_word() {
    let folder = repository();
    write(
        folder.path(),
        &[
            (".gitignore", "*.log\ndata/\n.env\n"),
            (".accretionignore", "!keep.log\n!data/\n*.csv\n!.config/\n"),
            ("data/.gitignore", "*.bin\n"),
            ("a.log", ""),
            ("keep.log", ""),
            ("data/a.csv", ""),
            ("data/a.bin", ""),
            ("data/a.txt", ""),
            (".config/a.toml", ""),
            (".config/.deep", ""),
            (".env", "x"),
            ("src/__pycache__/a.pyc", ""),
            ("src/a.py", ""),
        ],
    );
    let (paths, left_out) = pack(folder.path(), &FileRules::default()).await.unwrap();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    assert_eq!(
        paths,
        [".config/a.toml", "data/a.txt", "keep.log", "src/a.py"]
    );
    assert_eq!(left_out.count(Reason::Bytecode), 1);
    assert_eq!(left_out.count(Reason::Ignored), 4, "{left_out:?}");
    // The repository itself, and a file in a hidden folder.
    assert_eq!(left_out.count(Reason::Hidden), 2, "{left_out:?}");

    // What git ignores stays out, hidden or not; nothing brings a repository back.
    let rules = rules(&["*", ".git/"], &[]);
    let (paths, left_out) = pack(folder.path(), &rules).await.unwrap();
    assert!(
        paths.contains(".config/.deep") && !paths.contains(".env"),
        "{paths:?}"
    );
    assert!(
        !paths.iter().any(|path| path.starts_with(".git/")),
        "{paths:?}"
    );
    assert_eq!(left_out.unmatched.len(), 1, "{left_out:?}");
}

#[tokio::test]
async fn outside_a_repository_only_the_folder_counts() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        (".gitignore", "a.py"),
        ("in/.gitignore", "b.py"),
        ("in/a.py", ""),
        ("in/b.py", ""),
    ];
    write(folder.path(), &files);
    let paths = packed(&folder.path().join("in")).await;
    assert_eq!(paths, BTreeSet::from(["a.py".to_owned()]));
}

#[tokio::test]
async fn an_ignore_file_that_is_not_understood_is_refused() {
    for (text, problem) in [
        (&b"a\n[z-a]\n"[..], "line 2: "),
        (b"\xff", "it is not UTF-8"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("a.py", "")]);
        fs::write(folder.path().join(".accretionignore"), text).unwrap();
        let error = pack(folder.path(), &FileRules::default())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "IgnoreFileInvalid");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_secret_is_named_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let secret = format!("AKIA{}", "ABCD2345EFGH6723");
    let large = format!("{}\nkey = '{secret}'\n", "x".repeat(3 << 20));
    write(
        folder.path(),
        &[("a/conf.py", &large), (".env", &secret), ("b.py", "")],
    );
    let error = pack(folder.path(), &FileRules::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "SecretFound");
    let text = format!("{error} {:?}", error.hint());
    assert!(
        text.contains("`a/conf.py` holds an AWS access key id in line 2"),
        "{text}"
    );
    assert!(!text.contains(&secret), "{text}");

    let allowed = rules(&[], &["a/conf.py"]);
    assert_eq!(pack(folder.path(), &allowed).await.unwrap().0.len(), 2);
    // What is brought back is searched, too, and its name counts.
    let hidden = rules(&[".env"], &["a/conf.py"]);
    let error = pack(folder.path(), &hidden).await.unwrap_err();
    assert!(
        error.to_string().contains("`.env` holds settings"),
        "{error}"
    );
}
