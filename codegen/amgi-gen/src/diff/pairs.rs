//! What is the same in two lists, by rules of which the first that holds counts.

/// One of each list; one alone where the other has none.
pub(super) type Pair<T> = (Option<T>, Option<T>);

/// Whether two are the same.
pub(super) type Rule<'r, T> = &'r dyn Fn(T, T) -> bool;

/// In the order of the new list, those that are gone behind it.
pub(super) fn paired<T: Copy>(old: &[T], new: &[T], rules: &[Rule<'_, T>]) -> Vec<Pair<T>> {
    let mut left = old.to_vec();
    let mut pairs: Vec<Pair<T>> = new.iter().map(|one| (None, Some(*one))).collect();
    for rule in rules {
        for (found, one) in &mut pairs {
            let Some(one) = one.filter(|_| found.is_none()) else { continue };
            let at = left.iter().position(|other| rule(*other, one));
            *found = at.map(|at| left.remove(at));
        }
    }
    pairs.extend(left.into_iter().map(|one| (Some(one), None)));
    pairs
}
