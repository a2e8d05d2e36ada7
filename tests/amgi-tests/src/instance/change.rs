//! Changes of instances that know nothing of the schema.

use fastrand::Rng;

use super::{number, put, scrap, text};
use crate::tree::Tree;

/// Changes an instance at a random place. `other` is another instance of the same schema, to take from.
pub fn change(tree: &mut Tree, other: &Tree, rng: &mut Rng) {
    let (copy, at) = (tree.clone(), rng.usize(..count(tree)));
    let node = nth(tree, at);
    match rng.u8(..14) {
        0 => *node = Tree::Null,
        1 => *node = scrap(rng),
        2 => {
            let empty = [Tree::Map(Vec::new()), Tree::List(Vec::new()), Tree::Text(String::new())];
            *node = empty[rng.usize(..3)].clone();
        }
        // A part of the instance, moved or made deeper.
        3 => *node = part(&copy, rng),
        4 => *node = part(other, rng),
        5 => *node = Tree::List(vec![std::mem::replace(node, Tree::Null)]),
        _ => inside(node, other, rng),
    }
}

fn inside(node: &mut Tree, other: &Tree, rng: &mut Rng) {
    match node {
        Tree::Null => *node = scrap(rng),
        Tree::Bool(value) => {
            *node = if rng.bool() { Tree::Bool(!*value) } else { Tree::Text(value.to_string()) };
        }
        Tree::Number(number) => *number = renumbered(number, rng),
        Tree::Text(value) => *value = rewritten(value, rng),
        Tree::List(items) => elements(items, rng),
        Tree::Map(members) => match rng.u8(..9) {
            0 | 1 if !members.is_empty() => drop(members.remove(rng.usize(..members.len()))),
            2 => put(members, text::name(rng), scrap(rng)),
            3 if !members.is_empty() => {
                let at = rng.usize(..members.len());
                members[at].1 = Tree::Null;
            }
            4 if !members.is_empty() => {
                let at = rng.usize(..members.len());
                let name = renamed(&members[at].0, rng);
                let (_, value) = members.remove(at);
                put(members, name, value);
            }
            // Members of what stands elsewhere, perhaps of another alternative.
            5 | 6 => {
                let taken = part(other, rng);
                let from: Vec<&(String, Tree)> = taken.entries().iter().filter(|_| rng.bool()).collect();
                for (name, value) in from {
                    members.retain(|(known, _)| known != name);
                    members.push((name.clone(), value.clone()));
                }
            }
            // A struct is no list of what it holds.
            7 => *node = Tree::List(members.iter().map(|(_, value)| value.clone()).collect()),
            _ => rng.shuffle(members),
        },
    }
}

fn elements(items: &mut Vec<Tree>, rng: &mut Rng) {
    let at = rng.usize(..items.len().max(1));
    match rng.u8(..5) {
        0 if !items.is_empty() => drop(items.remove(at)),
        1 if !items.is_empty() => items.insert(at, items[at].clone()),
        2 => items.push(scrap(rng)),
        3 if !items.is_empty() => items.extend(vec![items[at].clone(); rng.usize(1..12)]),
        _ => items.insert(at.min(items.len()), Tree::Null),
    }
}

fn renumbered(number: &str, rng: &mut Rng) -> String {
    let integer = number.parse::<i128>();
    match (rng.u8(..8), integer) {
        (0, Ok(number)) => number.saturating_add(1).to_string(),
        (1, Ok(number)) => number.saturating_sub(1).to_string(),
        (2, Ok(number)) => format!("{number}.0"),
        // Above, an `f64` holds no halves, and the other implementation has numbers in those.
        (3, Ok(number)) if number.abs() < 1 << 50 => format!("{number}.5"),
        (4, Ok(number)) => format!("{number}e2"),
        (5, Ok(number)) => number.saturating_neg().to_string(),
        _ => number::scrap(rng),
    }
}

fn rewritten(text: &str, rng: &mut Rng) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = rng.usize(..characters.len().max(1));
    match rng.u8(..8) {
        0 if !characters.is_empty() => drop(characters.remove(at)),
        1 => characters.insert(at.min(characters.len()), text::character(rng)),
        2 if !characters.is_empty() => characters[at] = text::character(rng),
        3 => characters.push('🦀'),
        4 => return text.to_uppercase(),
        5 => return format!(" {text}"),
        _ => return text::scrap(rng),
    }
    characters.into_iter().collect()
}

fn renamed(name: &str, rng: &mut Rng) -> String {
    match rng.u8(..4) {
        0 => name.to_uppercase(),
        1 => name.replace(['-', '_'], ""),
        2 => format!("{name}_"),
        _ => text::name(rng),
    }
}

/// A random part.
fn part(tree: &Tree, rng: &mut Rng) -> Tree {
    let mut tree = tree.clone();
    let at = rng.usize(..count(&tree));
    std::mem::replace(nth(&mut tree, at), Tree::Null)
}

/// How many values there are, those inside included.
fn count(tree: &Tree) -> usize {
    let items = tree.items().iter().map(count).sum::<usize>();
    1 + items + tree.entries().iter().map(|(_, value)| count(value)).sum::<usize>()
}

/// The value of that number, from the outside in.
fn nth(tree: &mut Tree, at: usize) -> &mut Tree {
    let Some(mut left) = at.checked_sub(1) else { return tree };
    let mut is_in = |value: &Tree| {
        let size = count(value);
        let found = left < size;
        left -= if found { 0 } else { size };
        found
    };
    let inner = match tree {
        Tree::List(items) => items.iter().position(is_in),
        Tree::Map(members) => members.iter().position(|(_, value)| is_in(value)),
        _ => None,
    };
    match (tree, inner) {
        (Tree::List(items), Some(index)) => nth(&mut items[index], left),
        (Tree::Map(members), Some(index)) => nth(&mut members[index].1, left),
        (tree, _) => tree,
    }
}
