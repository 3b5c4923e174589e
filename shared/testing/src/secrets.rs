//! Texts that look like secrets, and are none.

/// Returns a secret of each form, with what it is. They are put together here, so that no file of the
/// project holds one.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn planted() -> Vec<(&'static str, String)> {
    let hex = |length| "0123456789abcdef".repeat(8)[..length].to_owned();
    let word = |length| "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zZ".repeat(9)[..length].to_owned();
    let upper = |length| "ABC2DEF3GHI4JKL5MNO6PQR7".repeat(9)[..length].to_owned();
    let key = |kind: &str, between: &str| {
        let (line, body) = ("-----", word(64));
        format!("{line}BEGIN {kind}PRIVATE KEY{line}{between}{body}")
    };
    let pgp = key("PGP ", "\n").replace("KEY--", "KEY BLOCK--");
    vec![
        ("a private key", key("", "\n")),
        (
            "a private key",
            key(
                "RSA ",
                "\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-128-CBC,00\r\n\r\n",
            ),
        ),
        ("a private key", key("OPENSSH ", "\n")),
        ("a private key", key("EC ", "\\n")),
        ("a private key", key("ENCRYPTED ", "\\n\" +\n    \"")),
        ("a private key", pgp),
        (
            "an SSH2 private key",
            format!("---- {} SSH2 ENCRYPTED PRIVATE KEY ----", "BEGIN"),
        ),
        (
            "a PuTTY private key",
            format!("PuTTY-User-Key-File-{}: ssh-ed25519", 3),
        ),
        ("an age key", format!("AGE-SECRET-KEY-1{}", upper(58))),
        ("an AWS access key id", format!("AKIA{}", upper(16))),
        (
            "an AWS access key id",
            format!("aws_access_key_id=ASIA{}", upper(16)),
        ),
        (
            "an AWS secret access key",
            format!("AWS_SECRET_ACCESS_KEY=\"{}\"", word(40)),
        ),
        (
            "an AWS secret access key",
            format!("{{\"SecretKey\": 1, \"aws_secret_key\" : '{}'}}", word(40)),
        ),
        ("a GitHub token", format!("ghp_{}", word(36))),
        (
            "a GitHub token",
            format!("github_pat_{}_{}", word(22), word(59)),
        ),
        ("a GitLab token", format!("glpat-{}", word(20))),
        ("a Slack token", format!("xoxb-{}-{}", &hex(10), word(24))),
        (
            "a Slack token",
            format!("xapp-1-{}-1234567890-{}", upper(9), hex(64)),
        ),
        (
            "a Slack webhook",
            format!(
                "https://hooks.slack.com/services/T{}/B{}/{}",
                upper(8),
                upper(8),
                word(24)
            ),
        ),
        ("a Stripe key", format!("sk_live_{}", word(24))),
        ("a Google API key", format!("AIza{}", word(35))),
        (
            "a Google OAuth client secret",
            format!("GOCSPX-{}", word(28)),
        ),
        ("an npm token", format!("npm_{}", word(36))),
        (
            "an npm token",
            format!("//npm.example.com/:_authToken={}", word(36)),
        ),
        ("a PyPI token", format!("pypi-AgE{}", word(160))),
        ("a RubyGems key", format!("rubygems_{}", hex(48))),
        ("an Anthropic key", format!("sk-ant-api03-{}", word(95))),
        ("an OpenAI key", format!("sk-proj-{}", word(64))),
        (
            "an OpenAI key",
            format!("sk-{}T3BlbkFJ{}", word(20), word(20)),
        ),
        ("a Hugging Face token", format!("hf_{}", word(34))),
        ("a SendGrid key", format!("SG.{}.{}", word(22), word(43))),
        ("a Mailgun key", format!("key-{}", hex(32))),
        ("a Twilio key", format!("SK{}", hex(32))),
        ("a Shopify token", format!("shpat_{}", hex(32))),
        ("a Square token", format!("sq0csp-{}", word(43))),
        ("a DigitalOcean token", format!("dop_v1_{}", hex(64))),
        ("a Docker Hub token", format!("dckr_pat_{}", word(27))),
        ("a Databricks token", format!("dapi{}", hex(32))),
        ("a Vault token", format!("hvs.{}", word(90))),
        (
            "a Terraform token",
            format!("{}.atlasv1.{}", word(14), word(67)),
        ),
        ("a Grafana token", format!("glsa_{}_{}", word(32), hex(8))),
        ("a New Relic key", format!("NRAK-{}", upper(27))),
        ("a Telegram bot token", format!("123456789:AA{}", word(33))),
        ("an Azure storage key", format!("AccountKey={}==", word(86))),
    ]
}
