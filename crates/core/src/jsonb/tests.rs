//! Documents made and changed as values, against documents changed as bytes.

use super::container::{Container, Kind, Type, Value, compare};
use super::encode::{Node, encode};
use super::part::{Part, put};
use super::{Failure, diff, path};
use crate::pglz;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A document as a value.
#[derive(Debug, Clone, PartialEq)]
enum Doc {
    Null,
    Bool(bool),
    /// The bytes of a numeric, which is not looked into.
    Numeric(Vec<u8>),
    String(String),
    Array(Vec<Doc>),
    Object(BTreeMap<String, Doc>),
}

impl Doc {
    fn node(&self) -> Node<'_> {
        let scalar = |kind, bytes| Node::Stored(Value { kind, bytes });
        match self {
            Doc::Null => scalar(Type::Null, &[][..]),
            Doc::Bool(true) => scalar(Type::True, &[]),
            Doc::Bool(false) => scalar(Type::False, &[]),
            Doc::Numeric(bytes) => scalar(Type::Numeric, bytes),
            Doc::String(text) => scalar(Type::String, text.as_bytes()),
            Doc::Array(elements) => Node::Array(elements.iter().map(Doc::node).collect()),
            Doc::Object(pairs) => {
                let mut pairs: Vec<(&[u8], Node)> = pairs.iter().map(|(k, v)| (k.as_bytes(), v.node())).collect();
                pairs.sort_by(|a, b| compare(a.0, b.0));
                Node::Object(pairs)
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        encode(&self.node(), 0).unwrap()
    }

    fn read(value: Value) -> Doc {
        match value.kind {
            Type::Null => Doc::Null,
            Type::True => Doc::Bool(true),
            Type::False => Doc::Bool(false),
            Type::Numeric => Doc::Numeric(value.bytes.to_vec()),
            Type::String => Doc::String(String::from_utf8(value.bytes.to_vec()).unwrap()),
            Type::Container => {
                let of = Container::new(value.bytes).unwrap();
                match of.kind {
                    Kind::Object => {
                        let key = |at| String::from_utf8(of.key(at).to_vec()).unwrap();
                        Doc::Object((0..of.len).map(|at| (key(at), Doc::read(of.value(at)))).collect())
                    }
                    _ => Doc::Array(of.values().map(Doc::read).collect()),
                }
            }
        }
    }
}

fn documents() -> impl Strategy<Value = Doc> {
    let scalar = prop_oneof![
        Just(Doc::Null),
        any::<bool>().prop_map(Doc::Bool),
        prop::collection::vec(any::<u8>(), 6..12).prop_map(Doc::Numeric),
        "[a-c]{0,40}".prop_map(Doc::String),
    ];
    scalar.prop_recursive(4, 120, 70, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..70).prop_map(Doc::Array),
            prop::collection::btree_map("[a-d]{1,3}", inner, 0..40).prop_map(Doc::Object),
        ]
    })
}

/// Steps that lead somewhere, mostly.
fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof!["[a-d]{1,2}", (-4..40i32).prop_map(|n| n.to_string())], 0..4)
}

/// As the server's jsonb_set.
fn set(of: &Doc, path: &[String], value: &Doc, create: bool) -> Option<Doc> {
    let (first, rest) = path.split_first()?;
    match of {
        Doc::Object(pairs) => {
            let mut pairs = pairs.clone();
            if rest.is_empty() && (create || pairs.contains_key(first)) {
                pairs.insert(first.clone(), value.clone());
            } else if let Some(inner) = pairs.get(first) {
                let new = set(inner, rest, value, create)?;
                pairs.insert(first.clone(), new);
            } else {
                return None;
            }
            Some(Doc::Object(pairs))
        }
        Doc::Array(elements) => {
            let (mut elements, len) = (elements.clone(), elements.len() as i64);
            let at = first.parse::<i64>().ok().map(|n| if n < 0 { n + len } else { n })?;
            if (0..len).contains(&at) {
                elements[at as usize] =
                    if rest.is_empty() { value.clone() } else { set(&elements[at as usize], rest, value, create)? };
            } else if rest.is_empty() && create {
                elements.insert(if at < 0 { 0 } else { len as usize }, value.clone());
            } else {
                return None;
            }
            Some(Doc::Array(elements))
        }
        _ => None,
    }
}

fn steps(path: &[String]) -> Vec<Option<&[u8]>> {
    path.iter().map(|s| Some(s.as_bytes())).collect()
}

/// Documents with the keys of a part, which differ in the part only; the part, and the patch.
fn parts() -> impl Strategy<Value = (Doc, Doc, Part, Doc)> {
    let leaf = (documents(), documents(), any::<bool>()).prop_map(|(old, new, changes)| {
        if changes { (old, new.clone(), Some(Part::Whole), new) } else { (old.clone(), old, None, Doc::Null) }
    });
    let marks = prop::collection::vec((documents(), 0..4u8), 1..80).prop_map(|all| {
        let (mut old, mut new, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for (doc, what) in all {
            if what < 3 {
                old.push(doc.clone());
            }
            if what != 2 {
                new.push(doc.clone());
            }
            marks.push(match what {
                2 => Doc::Bool(false),
                3 => Doc::Array(vec![doc]),
                _ => Doc::Null,
            });
        }
        (Doc::Array(old), Doc::Array(new), Some(Part::Elements), Doc::Array(marks))
    });
    let one = prop_oneof![3 => leaf, 1 => marks];
    let object = one.prop_recursive(3, 30, 12, |inner| {
        prop::collection::btree_map("[a-e]{1,4}", inner, 1..12).prop_map(|pairs| {
            let (mut old, mut new, mut patch) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            let mut parts = Vec::new();
            for (key, (before, after, part, with)) in pairs {
                old.insert(key.clone(), before);
                new.insert(key.clone(), after);
                if let Some(part) = part {
                    patch.insert(key.clone(), with);
                    parts.push((key.into_bytes(), part));
                }
            }
            let part = (!parts.is_empty()).then_some(Part::Object(parts));
            (Doc::Object(old), Doc::Object(new), part, Doc::Object(patch))
        })
    });
    object.prop_filter_map("a part", |(old, new, part, patch)| Some((old, new, part?, patch)))
}

/// A compressed form without any old one.
fn compressed(of: &[u8]) -> Vec<u8> {
    pglz::compress_like(&[], of, &[], usize::MAX).unwrap()
}

fn check_pieces(old: &[u8], new: &[u8], pieces: &[diff::Piece]) {
    let mut told = (0, 0);
    for piece in pieces {
        assert!(piece.old >= told.0 && piece.new >= told.1);
        assert_eq!(old[piece.old..piece.old + piece.len], new[piece.new..piece.new + piece.len]);
        told = (piece.old + piece.len, piece.new + piece.len);
    }
}

/// Compresses by the old form, in several steps; each is read back.
fn check_compression(documents: &[Vec<u8>]) {
    let mut form = compressed(&documents[0]);
    assert_eq!(pglz::decompress(&form, documents[0].len()).as_deref(), Some(&documents[0][..]));
    for both in documents.windows(2) {
        let pieces = diff::pieces(&both[0], &both[1]);
        check_pieces(&both[0], &both[1], &pieces);
        form = pglz::compress_like(&form, &both[1], &pieces, usize::MAX).unwrap();
        assert_eq!(pglz::decompress(&form, both[1].len()).as_deref(), Some(&both[1][..]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(of in documents()) {
        let bytes = of.bytes();
        prop_assert_eq!(Doc::read(Value::of_document(&bytes).unwrap()), of);
    }

    #[test]
    fn set_is_a_change_of_the_value((of, value) in (documents(), documents()), path in paths(), create: bool) {
        let (bytes, new) = (of.bytes(), value.bytes());
        let done = path::set(&bytes, &steps(&path), Value::of_document(&new).unwrap(), create);
        match done {
            Ok(done) => prop_assert_eq!(done, set(&of, &path, &value, create).map(|d| d.bytes())),
            Err(path::Failure::Scalar) => prop_assert!(!matches!(of, Doc::Array(_) | Doc::Object(_))),
            Err(path::Failure::NoInteger(_)) => prop_assert_eq!(set(&of, &path, &value, create), None),
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_part_is_put_where_it_was((old, new, part, patch) in parts()) {
        match put(&old.bytes(), &patch.bytes(), &part) {
            Ok(done) => prop_assert_eq!(done, new.bytes()),
            // An array without elements is left to others.
            Err(failure) => {
                prop_assert_eq!(failure, Failure::Unexpected);
                let shown = format!("{new:?}");
                prop_assert!(shown.contains("Array([])"));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(of) = Value::of_document(&bytes) {
            let _ = std::panic::catch_unwind(|| of).is_ok();
        }
        let _ = put(&bytes, &bytes, &Part::Object(vec![(b"a".to_vec(), Part::Elements)]));
        let _ = pglz::decompress(&bytes, 1000);
        let _ = pglz::compress_like(&bytes, &[7; 300], &[diff::Piece { new: 10, old: 20, len: 200 }], usize::MAX);
    }

    #[test]
    fn parts_keep_their_compressed_form(all in prop::collection::vec(parts(), 1..3)) {
        let documents: Vec<Vec<u8>> = all.iter().flat_map(|(old, new, ..)| [old.bytes(), new.bytes()]).collect();
        check_compression(&documents);
    }

    #[test]
    fn long_documents_keep_their_compressed_form(
        words in prop::collection::vec("[a-z]{2,9}", 20..60),
        edits in prop::collection::vec((0..400usize, 0..3u8, "[a-z ]{0,90}"), 1..20),
    ) {
        let text = |i: usize| (0..12).map(|j| words[(i * 7 + j * i + j) % words.len()].clone() + " ").collect();
        let mut elements: Vec<(u8, String)> = (0..400).map(|i| (i as u8, text(i))).collect();
        let document = |elements: &[(u8, String)]| {
            let elements = elements.iter().map(|(id, text)| {
                let pairs = [("id", Doc::Numeric(vec![*id; 8])), ("text", Doc::String(text.clone()))];
                Doc::Object(pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect())
            });
            let pairs = [("title", Doc::String("t".into())), ("comments", Doc::Array(elements.collect()))];
            Doc::Object(pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()).bytes()
        };
        let mut all = vec![document(&elements)];
        for (at, what, text) in edits {
            let at = at % elements.len();
            match what {
                0 => elements[at].1 = text,
                1 => elements.insert(at, (0, text)),
                _ => drop(elements.remove(at)),
            }
            all.push(document(&elements));
        }
        check_compression(&all);
        let (old, new) = (&all[0], &all[1]);
        let pieces = diff::pieces(old, new);
        // Nearly all is in common, and so nearly all of the form.
        prop_assert!(pieces.iter().map(|p| p.len).sum::<usize>() * 100 > new.len() * 90);
        let form = compressed(old);
        let next = pglz::compress_like(&form, new, &pieces, usize::MAX).unwrap();
        prop_assert!(next.len() < form.len() + form.len() / 20 + 300);
    }
}
