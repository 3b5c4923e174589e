use accretion_testing::secrets::planted;

use super::*;

fn found(bytes: &[u8], at_a_time: usize) -> Vec<(&'static str, Option<u64>)> {
    let mut scanner = Scanner::default();
    for some in bytes.chunks(at_a_time) {
        scanner.feed(some);
    }
    let secrets = scanner.finish("a.py").into_iter();
    secrets.map(|it| (it.form, it.line)).collect()
}

#[test]
fn every_form_is_found() {
    let planted = planted();
    for (form, text) in &planted {
        for around in [["", ""], ["x = '", "'\n"], ["a\nb: ", "\r\nc"]] {
            let text = format!("{}{text}{}", around[0], around[1]);
            let line = 1 + breaks(around[0].as_bytes());
            assert_eq!(
                found(text.as_bytes(), 1 << 20),
                [(*form, Some(line))],
                "{text}"
            );
        }
    }
    for (form, _) in FORMS {
        assert!(planted.iter().any(|(it, _)| *it == form), "{form}");
    }
}

#[test]
fn what_only_looks_like_a_secret() {
    let key = format!("-----BEGIN {}KEY-----", "PRIVATE ");
    let public = format!("-----BEGIN PUBLIC KEY-----\n{}", "A".repeat(64));
    for text in [
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
        "XAKIAABCDEFGHIJKLMNOPX",
        "https://x.example/?X-Amz-Credential=AKIAABCDEFGHIJKLMNOP%2F20260131%2Feu-west-1%2Fs3",
        "Credential=ASIAABCDEFGHIJKLMNOP/20260131/eu-west-1/s3/aws4_request",
        "ghp_token ghp_ sk-learn sk_test_1234567890123456 xoxb-your-token",
        "SG.x.y pypi-AgE hf_model npm_config_registry",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl",
        "postgres://user:password@localhost/db",
        &format!("if text.startswith('{key}'):\n    return load(text)\n"),
        &format!("{key}\n...\n"),
        &format!("{key}\nMIIEow{}...fvY4\n", "A".repeat(57)),
        &public,
    ] {
        assert_eq!(found(text.as_bytes(), 1 << 20), [], "{text}");
    }
}

#[test]
fn what_lies_across_pieces_is_found_once() {
    let secret = format!("ghp_{}", "aB3".repeat(12));
    let word = format!("x{secret}");
    let edges = [CHUNK - 1, CHUNK, CHUNK + OVERLAP, 2 * CHUNK - 2];
    for edge in edges {
        for before in (edge - 45)..(edge + 3) {
            let mut text = vec![b'\n'; before];
            text.extend_from_slice(secret.as_bytes());
            text.extend(vec![b' '; CHUNK]);
            let line = Some(before as u64 + 1);
            assert_eq!(
                found(&text, 100_000),
                [("a GitHub token", line)],
                "{before}"
            );
        }
        // Where a piece starts, no word does.
        for before in (edge - 3)..(edge + 3) {
            let mut text = vec![b'\n'; before];
            text.extend_from_slice(word.as_bytes());
            text.extend(vec![b' '; CHUNK]);
            assert_eq!(found(&text, 1 << 20), [], "{before}");
        }
    }
}

#[test]
fn names_say_what_files_hold() {
    for path in [
        ".env",
        "a/.env",
        ".env.production",
        "a/.netrc",
        ".pypirc",
        ".aws/credentials",
        "ssh/id_ed25519",
        "a/b.P12",
        "x.jks",
    ] {
        assert!(of_path(path).is_some(), "{path}");
    }
    for path in [
        "env",
        "a.env.py",
        ".env.example",
        "credentials",
        "id_rsa.pub",
        "config.json",
        "a.p12/b",
        "netrc.py",
    ] {
        assert!(of_path(path).is_none(), "{path}");
    }
}

#[test]
fn a_reader_is_searched_on_its_way() {
    let text = format!("a\nsk_live_{}\n", "1".repeat(24));
    let mut scanned = Scanned::new(text.as_bytes());
    let mut read = String::new();
    scanned.read_to_string(&mut read).unwrap();
    assert_eq!(read, text);
    let secrets = scanned.finish("b/.env");
    let said: Vec<_> = secrets.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "`b/.env` holds settings with secrets by its name",
            "`b/.env` holds a Stripe key in line 2",
        ]
    );
}
