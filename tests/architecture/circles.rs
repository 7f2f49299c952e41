//! Circles in a graph of files: sets of files that each use all others, directly or through one another.

use std::collections::BTreeSet;

use super::paths::Graph;

/// Returns every circle of `graph`, as the sorted files of a strongly connected component.
pub fn circles(graph: &Graph) -> BTreeSet<Vec<String>> {
    let reached = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(file) = open.pop() {
            for next in graph.get(file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reach: Vec<(&String, BTreeSet<String>)> =
        graph.keys().map(|file| (file, reached(file))).collect();
    let mut found = BTreeSet::new();
    for (file, others) in &reach {
        if others.contains(*file) {
            let returns = |(other, reached): &&(&String, BTreeSet<String>)| {
                others.contains(*other) && reached.contains(*file)
            };
            found.insert(reach.iter().filter(returns).map(|(other, _)| (*other).clone()).collect());
        }
    }
    found
}
