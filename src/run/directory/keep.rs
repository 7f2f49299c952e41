//! Selection of the checkpoints that a run keeps.

/// Returns which of `steps`, ascending, to remove: all but the last `keep_last`, the best, and `keep_spread` others.
///
/// The others are thinned out one by one, each time where the gap between two neighbours is smallest, and never the first. So
/// they stay spread evenly, however many follow.
pub(super) fn removable(
    steps: &[u64],
    best: Option<u64>,
    keep_last: usize,
    keep_spread: usize,
) -> Vec<u64> {
    let (older, last) = steps.split_at(steps.len().saturating_sub(keep_last));
    let mut spread: Vec<u64> = older.iter().copied().filter(|step| Some(*step) != best).collect();
    let Some(end) = last.first() else { return spread };
    let mut gone = Vec::new();
    while spread.len() > keep_spread {
        let after = |i: usize| spread.get(i + 1).unwrap_or(end);
        let closest = (1..spread.len()).min_by_key(|i| after(*i) - spread[i - 1]);
        gone.push(spread.remove(closest.unwrap_or(0)));
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::removable;

    #[test]
    fn checkpoints_stay_spread_over_the_run() {
        let steps = |step: u64, count: u64| (1..=count).map(|n| n * step).collect::<Vec<u64>>();
        assert_eq!(removable(&steps(10, 5), Some(20), 2, 0), [30, 10]);
        assert!(removable(&steps(10, 5), None, 9, 0).is_empty());
        assert!(removable(&steps(10, 5), None, 2, 9).is_empty());
        assert_eq!(removable(&steps(10, 5), None, 2, 1), [20, 30]);
        assert_eq!(removable(&[10, 20, 21, 30, 40], None, 1, 3), [21]);

        // One checkpoint after another, as a run saves them.
        let mut kept = Vec::new();
        for step in steps(100, 200) {
            kept.push(step);
            let gone = removable(&kept, None, 2, 12);
            kept.retain(|step| !gone.contains(step));
        }
        assert_eq!((kept.len(), kept[0]), (14, 100));
        assert_eq!(kept[12..], [19_900, 20_000]);
        let gaps: Vec<u64> = kept[..13].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (800..=3200).contains(gap)), "{kept:?}");
    }
}
