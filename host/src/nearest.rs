//! What a misspelt word was meant to be, for error messages. Pure.

use strsim::{damerau_levenshtein, jaro_winkler};

/// One edit is forgiven for so many characters of the longer word.
const CHARS_PER_EDIT: usize = 3;

/// From this similarity on, words are near however many edits are between them, which is so for the beginning of a long
/// word: `deploy` for `deployments`.
const SIMILAR: f64 = 0.9;

/// The candidate that `word` most likely stands for, itself included; the first of those that are equally near. None if
/// nothing is near.
///
/// Case, `-` and `_` make no difference.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = essence(word);
    let mut best: Option<(&str, usize, f64)> = None;
    for candidate in candidates {
        let other = essence(candidate);
        let (edits, similarity) = (damerau_levenshtein(&word, &other), jaro_winkler(&word, &other));
        let forgiven = word.chars().count().max(other.chars().count()) / CHARS_PER_EDIT;
        let is_near = !word.is_empty() && (edits <= forgiven || similarity >= SIMILAR);
        let is_nearer = best.is_none_or(|(_, least, most)| edits < least || edits == least && similarity > most);
        if is_near && is_nearer {
            best = Some((candidate, edits, similarity));
        }
    }
    best.map(|(candidate, ..)| candidate)
}

fn essence(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 7] = ["plugins", "field-manager", "max-age", "max-wait", "log", "namespace", "namespaces"];

    #[test]
    fn typing_errors_are_seen_through() {
        for (word, meant) in [
            ("plugns", "plugins"),
            ("plguins", "plugins"),
            ("filed-manager", "field-manager"),
            ("feild_manger", "field-manager"),
            ("lgo", "log"),
            ("max-aeg", "max-age"),
            ("namesapce", "namespace"),
            ("namespacess", "namespaces"),
        ] {
            assert_eq!(nearest(word, KEYS), Some(meant), "{word}");
        }
    }

    #[test]
    fn case_and_dashes_make_no_difference() {
        for word in ["fieldManager", "FIELD_MANAGER", "field-manager", "fieldmanager"] {
            assert_eq!(nearest(word, KEYS), Some("field-manager"), "{word}");
        }
        assert_eq!(nearest("AB", ["abc", "a-b"]), Some("a-b"), "even in a short word");
    }

    #[test]
    fn the_beginning_of_a_word_stands_for_it() {
        assert_eq!(nearest("deploy", ["pods", "deployments"]), Some("deployments"));
        assert_eq!(nearest("d", ["pods", "deployments"]), None, "but not its first letter");
    }

    #[test]
    fn a_word_like_none_of_them_has_no_neighbour() {
        for word in ["", "-", "x", "timeout", "plumbing-works", "name"] {
            assert_eq!(nearest(word, KEYS), None, "{word}");
        }
        assert_eq!(nearest("plugins", []), None);
    }

    #[test]
    fn the_first_of_equally_near_ones_is_taken() {
        assert_eq!(nearest("cat", ["hat", "bat"]), Some("hat"));
    }

    #[test]
    fn a_candidate_is_nearest_to_itself() {
        for key in KEYS {
            assert_eq!(nearest(key, KEYS), Some(key));
        }
    }
}
