//! The runs of a grid: tokens for a budget, and which worker trains which run.

use super::point::FLOPS_PER_PARAMETER;

/// Returns the tokens on which `params` parameters are trained with `flops` operations, `C / 6 N`.
pub fn tokens_for(flops: f64, params: f64) -> f64 {
    flops / (FLOPS_PER_PARAMETER * params)
}

/// Divides jobs among `workers` so that their sums of `costs` are about equal: the most expensive first, each to the worker with the
/// least so far (Graham 1969). The jobs of each worker are in their original order.
pub fn divide(costs: &[f64], workers: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|a, b| costs[*b].total_cmp(&costs[*a]).then(a.cmp(b)));
    let mut jobs = vec![Vec::new(); workers.max(1)];
    let mut sums = vec![0.0; jobs.len()];
    for job in order {
        let least = (0..sums.len()).min_by(|a, b| f64::total_cmp(&sums[*a], &sums[*b]));
        let worker = least.unwrap_or(0);
        sums[worker] += costs[job];
        jobs[worker].push(job);
    }
    for jobs in &mut jobs {
        jobs.sort_unstable();
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn every_job_has_one_worker_and_none_has_much_more_than_others() {
        let costs = [1.0, 2.0, 3.0, 4.0, 8.0, 2.0, 4.0];
        for workers in [1, 2, 3, 9] {
            let jobs = divide(&costs, workers);
            assert_eq!(jobs.len(), workers);
            let mut all: Vec<usize> = jobs.concat();
            all.sort_unstable();
            assert_eq!(all, (0..costs.len()).collect::<Vec<_>>());
        }
        let sums: Vec<f64> =
            divide(&costs, 3).iter().map(|jobs| jobs.iter().map(|job| costs[*job]).sum()).collect();
        assert_eq!(sums, [8.0, 8.0, 8.0]);
    }
}
