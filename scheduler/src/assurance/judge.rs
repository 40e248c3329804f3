//! From the results of a task to what becomes of it. Pure.

use std::collections::BTreeMap;

/// What becomes of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// This output is the right one: so many results name it. Who named another dissents.
    Accept { output: String, agreeing: usize },
    /// Another car must run it.
    Again,
    /// Nobody can say which result is right: none of them is paid, and nobody is to blame.
    GiveUp,
}

/// Most results that are compared before a task is given up: then even after `wanted` wrong ones,
/// each of its own, there was room for `wanted` right ones.
pub fn most_results(wanted: usize) -> usize {
    2 * wanted
}

/// Rules on results as they come in: `wanted` of them must name the same output.
pub fn judge(wanted: usize, outputs: &[&str]) -> Ruling {
    let (output, agreeing) = largest(outputs);
    match output {
        Some(output) if agreeing >= wanted => {
            Ruling::Accept { output: output.to_owned(), agreeing }
        }
        _ if outputs.len() < most_results(wanted) => Ruling::Again,
        _ => Ruling::GiveUp,
    }
}

/// Rules when no further result is to be had: more than half of those wanted, naming one output,
/// and more than name any other, are believed.
pub fn judge_late(wanted: usize, outputs: &[&str]) -> Ruling {
    let (output, agreeing) = largest(outputs);
    match output {
        Some(output) if 2 * agreeing > wanted => {
            Ruling::Accept { output: output.to_owned(), agreeing }
        }
        _ => Ruling::GiveUp,
    }
}

/// Rules when the customer gives the task up: who agrees with all others is paid for the work.
pub fn judge_dropped(outputs: &[&str]) -> Ruling {
    let (output, agreeing) = largest(outputs);
    match output {
        Some(output) => Ruling::Accept { output: output.to_owned(), agreeing },
        None => Ruling::GiveUp,
    }
}

/// The output that more results name than any other, and how many; none on a tie.
fn largest<'a>(outputs: &[&'a str]) -> (Option<&'a str>, usize) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for output in outputs {
        *counts.entry(output).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(0);
    let mut first = counts.into_iter().filter(|(_, count)| *count == most);
    match (first.next(), first.next()) {
        (Some((output, count)), None) => (Some(output), count),
        _ => (None, most),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accept(output: &str, agreeing: usize) -> Ruling {
        Ruling::Accept { output: output.to_owned(), agreeing }
    }

    #[test]
    fn worked_examples() {
        let cases: &[(usize, &[&str], Ruling)] = &[
            (1, &["a"], accept("a", 1)),
            (2, &["a"], Ruling::Again),
            (2, &["a", "a"], accept("a", 2)),
            (2, &["a", "b"], Ruling::Again),
            (2, &["a", "b", "b"], accept("b", 2)),
            (2, &["a", "b", "c"], Ruling::Again),
            (2, &["a", "b", "c", "d"], Ruling::GiveUp),
            (3, &["a", "a"], Ruling::Again),
            (3, &["x", "x", "a", "a"], Ruling::Again),
            (3, &["x", "x", "a", "a", "a"], accept("a", 3)),
            (3, &["x", "y", "a", "a", "b", "a"], accept("a", 3)),
            (3, &["x", "x", "y", "y", "a", "a"], Ruling::GiveUp),
        ];
        for (wanted, outputs, expected) in cases {
            assert_eq!(judge(*wanted, outputs), *expected, "{wanted} of {outputs:?}");
        }
    }

    #[test]
    fn late_a_majority_of_what_was_wanted_is_believed() {
        let cases: &[(usize, &[&str], Ruling)] = &[
            (2, &["a"], Ruling::GiveUp),
            (3, &["a"], Ruling::GiveUp),
            (3, &["a", "a"], accept("a", 2)),
            (3, &["a", "b"], Ruling::GiveUp),
            (4, &["a", "a"], Ruling::GiveUp),
            (4, &["a", "a", "a", "b"], accept("a", 3)),
            (5, &["a", "a", "b"], Ruling::GiveUp),
            (5, &["a", "a", "a", "b"], accept("a", 3)),
        ];
        for (wanted, outputs, expected) in cases {
            assert_eq!(judge_late(*wanted, outputs), *expected, "{wanted} of {outputs:?}");
        }
        assert_eq!(judge_dropped(&[]), Ruling::GiveUp);
        assert_eq!(judge_dropped(&["a"]), accept("a", 1));
        assert_eq!(judge_dropped(&["a", "b"]), Ruling::GiveUp);
    }

    proptest! {
        /// Cars name outputs one after the other until there is a ruling: fewer liars than are
        /// wanted never have a wrong output accepted, alone or in league; it ends.
        #[test]
        fn a_minority_of_liars_never_wins(
            wanted in 2..=5_usize, seed in prop::collection::vec(any::<bool>(), 10), league: bool,
        ) {
            let mut outputs: Vec<String> = Vec::new();
            let mut liars = wanted - 1;
            for (n, tempted) in seed.into_iter().enumerate().take(most_results(wanted)) {
                let lies = liars > 0 && tempted;
                liars -= usize::from(lies);
                outputs.push(match (lies, league) {
                    (true, true) => "wrong".to_owned(),
                    (true, false) => format!("wrong {n}"),
                    (false, _) => "right".to_owned(),
                });
                let named: Vec<&str> = outputs.iter().map(String::as_str).collect();
                match judge(wanted, &named) {
                    Ruling::Accept { output, agreeing } => {
                        prop_assert_eq!(output, "right");
                        prop_assert_eq!(agreeing, wanted, "no result too many was bought");
                        return Ok(());
                    }
                    Ruling::Again => {}
                    Ruling::GiveUp => prop_assert!(false, "{:?}", outputs),
                }
            }
            prop_assert!(false, "no ruling on {:?}", outputs);
        }

        #[test]
        fn the_order_of_results_does_not_matter(
            wanted in 1..=5_usize, mut outputs in prop::collection::vec("[abc]", 0..10),
        ) {
            let rule = |outputs: &[String]| {
                let named: Vec<&str> = outputs.iter().map(String::as_str).collect();
                (judge(wanted, &named), judge_late(wanted, &named))
            };
            let before = rule(&outputs);
            outputs.reverse();
            prop_assert_eq!(rule(&outputs), before);
        }
    }
}
