//! uv's reasoning about requirements that can't be satisfied.
//!
//! It is a proof: one sentence for each conclusion, with lists of versions over many lines. A package
//! with many versions has had 70,000 lines. The end of the proof and the sentences that name what the
//! user requires say the most.

use std::collections::BTreeSet;

use accretion_core::excerpt::{excerpt, listed};

/// Sentences of a proof that is told whole.
const WHOLE: usize = 9;

/// Sentences that are told of the end of a longer one.
const LAST: usize = 5;

/// Sentences before those that are told because they name what the user requires.
const ROOTS: usize = 3;

/// Items of a list that are told, where it has more.
const ITEMS: usize = 3;

/// Hints, and names in one, that are told.
const HINTS: usize = 3;

/// Bytes of a sentence and of a hint: names and versions may have any length.
const BYTES: usize = 600;

/// The introduction of each conclusion.
const CONCLUSION: &str = ", we can conclude";

/// The phrases about a package that has only a source distribution, where those are not allowed.
const SOURCE_ONLY: [&str; 2] = [" has no usable wheels", " have no usable wheels"];

/// uv's reasoning, a sentence a line.
#[derive(Debug)]
pub(super) struct Reasoning {
    sentences: Vec<String>,
    hints: Vec<String>,
    /// The packages that have only source distributions, as uv's advice names them.
    wheels_wanted: Vec<String>,
}

impl Reasoning {
    /// Reads it without its headline, its indentation and its advice about uv's own options.
    pub(super) fn of(stderr: &str) -> Self {
        let (proof, hints) = stderr.split_at(stderr.find("\nhint: ").unwrap_or(stderr.len()));
        let (mut advised, mut wheels_wanted) = (Vec::new(), Vec::new());
        for hint in hints.split("\nhint: ").skip(1) {
            // A marker below a line is of no use without its place.
            let lines: Vec<_> = hint
                .lines()
                .map(str::trim)
                .filter(|line| !line.trim_matches('^').is_empty())
                .collect();
            let sentence = lines.join(" ");
            if let Some(rest) = sentence.strip_prefix("Wheels are required for `") {
                wheels_wanted.extend(rest.split('`').next().map(ToOwned::to_owned));
            } else if !sentence.contains("`--") {
                advised.push(sentence);
            }
        }
        Self {
            sentences: sentences(proof),
            hints: advised,
            wheels_wanted,
        }
    }

    /// Returns whether nothing but the lack of wheels stands against one of the user's
    /// requirements. Requirements that stand against each other are no better with more wheels.
    pub(super) fn is_for_want_of_wheels(&self) -> bool {
        self.lacks_wheels() && self.required().len() < 2
    }

    /// Returns whether versions are left out that have only source distributions.
    pub(super) fn names_sources(&self) -> bool {
        let mut sentences = self.sentences.iter();
        sentences.any(|it| SOURCE_ONLY.iter().any(|words| it.contains(words)))
    }

    /// Returns whether wheels are missing, be it the only reason or not.
    pub(super) fn lacks_wheels(&self) -> bool {
        let mut sentences = self.sentences.iter();
        self.names_sources() || sentences.any(|it| it.contains(" no wheels with a matching "))
    }

    /// The names that the user requires, as far as the proof needs them.
    fn required(&self) -> BTreeSet<&str> {
        const YOU_REQUIRE: &str = "you require ";
        let mut required = BTreeSet::new();
        for sentence in &self.sentences {
            // What is concluded to be required is none of the user's words.
            let given = sentence.split(CONCLUSION).next().unwrap_or_default();
            let Some((_, requirements)) = given.split_once(YOU_REQUIRE) else {
                continue;
            };
            let parts = requirements.split(" and ").flat_map(|it| it.split(", "));
            // Anything of more words is another clause of the sentence.
            for requirement in parts.filter(|it| !it.contains(' ')) {
                let is_end = |c: char| !c.is_alphanumeric() && !"-_.".contains(c);
                let end = requirement.find(is_end).unwrap_or(requirement.len());
                required.insert(&requirement[..end]);
            }
        }
        required
    }

    /// Returns the part of it that is shown: a few lines, however much it has.
    pub(super) fn explanation(&self) -> String {
        let mut told = self.told_sentences();
        if told.len() < self.sentences.len() {
            told.extend(self.causes());
        }
        let hints = self.hints.iter().take(HINTS);
        told.extend(hints.map(|hint| excerpt(hint, BYTES)));
        let more = self.hints.len().saturating_sub(HINTS);
        told.extend((more > 0).then(|| format!("… {more} hints left out …")));
        let said = told.join("\n");
        let Some(reasons) = said.strip_prefix("Because ") else {
            return said;
        };
        if said.matches(CONCLUSION).count() == 1 {
            // The error itself says the conclusion.
            let unsatisfiable = format!("{CONCLUSION} that your requirements are unsatisfiable.");
            reasons.replacen(&unsatisfiable, "", 1)
        } else {
            format!("because {reasons}")
        }
    }

    /// The sentences that are told, and a note for each gap.
    fn told_sentences(&self) -> Vec<String> {
        let all = &self.sentences;
        if all.len() <= WHOLE {
            return all.iter().map(|it| excerpt(it, BYTES)).collect();
        }
        let end = all.len() - LAST;
        let all_roots: Vec<_> = (0..end)
            .filter(|at| all[*at].contains("you require "))
            .collect();
        let roots = &all_roots[all_roots.len().saturating_sub(ROOTS)..];
        let (mut told, mut next) = (Vec::new(), 0);
        for at in roots.iter().copied().chain(end..all.len()) {
            if at > next {
                let gap = at - next;
                told.push(format!("… {gap} conclusions left out …"));
            }
            let sentence = without_references(&all[at]);
            let sentence = match sentence.strip_prefix("And because ") {
                Some(rest) if at > next => format!("Because {rest}"),
                _ => sentence,
            };
            told.push(excerpt(&sentence, BYTES));
            next = at + 1;
        }
        told
    }

    /// The first causes of all that is concluded, in few words.
    fn causes(&self) -> Vec<String> {
        const PYTHON: &str = " does not satisfy Python";
        let pythons: BTreeSet<_> = self
            .sentences
            .iter()
            .flat_map(|sentence| sentence.split(PYTHON).skip(1))
            .filter_map(|rest| rest.split(' ').next())
            .collect();
        let quoted = self.wheels_wanted.iter().map(|it| format!("`{it}`"));
        let packages = listed(quoted, HINTS);
        let of_wheels = (!packages.is_empty()).then(|| {
            format!("There are versions without wheels, only with sources, of {packages}")
        });
        let of_python = (!pythons.is_empty()).then(|| {
            format!(
                "There are versions that require Python {}",
                listed(pythons, HINTS)
            )
        });
        of_wheels.into_iter().chain(of_python).collect()
    }
}

/// The sentences of a proof, each in a line, its lists cut.
fn sentences(proof: &str) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let mut column = None;
    let mut items: Vec<&str> = Vec::new();
    for line in proof.lines() {
        let text = line.trim().trim_start_matches("cause: ");
        if text.is_empty() || text.starts_with("error: No solution found") {
            continue;
        }
        let indentation = line.len() - text.len();
        let in_list = sentences.last().is_some_and(|it| it.ends_with(':'));
        if in_list && indentation >= *column.get_or_insert(indentation) + 4 {
            items.push(text);
            continue;
        }
        close_list(&mut sentences, &mut items);
        column.get_or_insert(indentation);
        let is_next = text.starts_with("Because ") || text.starts_with("And because ");
        match sentences.last_mut() {
            Some(sentence) if !is_next => {
                let is_clause = text.starts_with("we can conclude");
                sentence.push_str(if is_clause { ", " } else { " " });
                sentence.push_str(text);
            }
            _ => sentences.push(text.to_owned()),
        }
    }
    close_list(&mut sentences, &mut items);
    sentences
}

/// Adds what a list has to the sentence that it belongs to.
fn close_list(sentences: &mut [String], items: &mut Vec<&str>) {
    if let Some(sentence) = sentences.last_mut()
        && !items.is_empty()
    {
        // The last ones are the newest versions, and those that are asked for most.
        let first = match items.len() {
            few if few <= ITEMS + 1 => 0,
            many => many - ITEMS,
        };
        sentence.push(' ');
        sentence.push_str(&items[first..].join(", "));
        if first > 0 {
            sentence.extend([" and ", &first.to_string(), " others"]);
        }
        items.clear();
    }
}

/// A sentence without the numbers of others, which are left out.
fn without_references(sentence: &str) -> String {
    const KNOWN: &str = "we know from (";
    let sentence = match sentence.rsplit_once(" (") {
        Some((before, number)) if is_number(number.strip_suffix(')')) => before,
        _ => sentence,
    };
    let mut parts = sentence.split(KNOWN);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(") that ") {
            Some((number, rest)) if is_number(Some(number)) => text.push_str(rest),
            _ => {
                text.push_str(KNOWN);
                text.push_str(part);
            }
        }
    }
    text
}

fn is_number(text: Option<&str>) -> bool {
    text.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proof as uv writes it for a package of which no version can be used: four sentences a
    /// version, each with a list.
    fn proof(versions: usize) -> String {
        let mut text = "error: No solution found when resolving dependencies\n  cause: ".to_owned();
        for version in 1..=versions {
            let before = version - 1;
            text.extend([format!(
                "Because lib=={version} has no usable wheels and app=={version} depends on \
                 lib=={version}, we can conclude that app=={version} cannot be used.\n         \
                 And because we know from ({before}) that app<{version} cannot be used, we can \
                 conclude that app<={version} cannot be used.\n         And because all of:\n"
            )]);
            for other in 0..20 {
                text.extend([format!("             app=={version}.{other}\n")]);
            }
            text.extend([format!(
                "          depend on one of:\n             lib<1\n             lib>2\n         \
                 we can conclude that app<{version}.20 cannot be used. ({version})\n\n         "
            )]);
        }
        text + "Because you require app, we can conclude that your requirements are \
                unsatisfiable.\n\nhint: Wheels are required for `lib` because building from source \
                is disabled for all packages (i.e., with `--no-build`)\n\nhint: Something else\n"
    }

    #[test]
    fn a_long_proof_is_told_by_its_end_and_its_causes() {
        let text = proof(2_500);
        assert!(text.lines().count() > 60_000);
        let reasoning = Reasoning::of(&text);
        assert!(reasoning.is_for_want_of_wheels() && reasoning.names_sources());
        let expected = "\
… 7496 conclusions left out …
Because all of: app==2499.17, app==2499.18, app==2499.19 and 17 others depend on one of: lib<1, lib>2, we can conclude that app<2499.20 cannot be used.
Because lib==2500 has no usable wheels and app==2500 depends on lib==2500, we can conclude that app==2500 cannot be used.
And because app<2500 cannot be used, we can conclude that app<=2500 cannot be used.
And because all of: app==2500.17, app==2500.18, app==2500.19 and 17 others depend on one of: lib<1, lib>2, we can conclude that app<2500.20 cannot be used.
Because you require app, we can conclude that your requirements are unsatisfiable.
There are versions without wheels, only with sources, of `lib`
Something else";
        assert_eq!(reasoning.explanation(), expected);
    }

    #[test]
    fn a_short_proof_is_told_whole() {
        let told = Reasoning::of(&proof(2)).explanation();
        assert!(
            told.starts_with("because lib==1 has no usable wheels"),
            "{told}"
        );
        assert!(told.contains("And because we know from (1) that"), "{told}");
        assert!(!told.contains("left out"), "{told}");
    }

    #[test]
    fn whatever_a_proof_has_it_is_told_in_few_bytes() {
        let name = "x".repeat(100_000);
        let sentence = format!("Because {name} has no usable wheels and you require {name}.\n");
        for text in [
            sentence.repeat(100),
            format!("hint: {name}\n\n").repeat(1_000),
            format!(
                "Because all of:\n{}",
                format!("             {name}\n").repeat(100)
            ),
            name.repeat(10),
            "Because x:\n".repeat(1_000),
            "Because (1) we know from (".repeat(1_000),
        ] {
            let told = Reasoning::of(&format!("error: No solution found\n{text}")).explanation();
            let most = (LAST + ROOTS + 2 + HINTS + 3) * (BYTES + 1);
            assert!(told.len() <= most && told.lines().count() <= 20, "{told}");
            assert!(told.contains("left out"), "{told}");
        }
    }

    /// Conflicts of several requirements are no want of wheels, whatever else is said of wheels.
    #[test]
    fn a_conflict_is_told_from_a_want_of_wheels() {
        for (proof, wanting) in [
            (
                "Because a==1 has no usable wheels and you require a==1, we can conclude x.",
                true,
            ),
            (
                "Because all of:\n             a<1\n             a>2\n          have no usable \
                 wheels and you require a, we can conclude x.",
                true,
            ),
            (
                "Because a==1 has no wheels with a matching platform tag (e.g., `any`) and you \
                 require a[b]==1 and all versions of c depend on d, we can conclude x.",
                true,
            ),
            (
                "Because a has no usable wheels and you require a and b<2, we can conclude x.",
                false,
            ),
            (
                "Because a<2 has no usable wheels and b depends on a>2, we can conclude x.\n\
                 And because you require b, we can conclude y.\n\
                 And because you require a<3, we can conclude z.",
                false,
            ),
            (
                "Because there is no version of a==3 and you require a==3, we can conclude x.",
                false,
            ),
        ] {
            let reasoning = Reasoning::of(&format!("  cause: {proof}"));
            assert_eq!(reasoning.is_for_want_of_wheels(), wanting, "{proof}");
        }
    }
}
