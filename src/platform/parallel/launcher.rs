//! Environment variables of the launcher that started this process, such as `mpirun`.

/// Returns the number of processes that the launcher started; none without a launcher.
pub fn launched() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    // Open MPI, MPICH and Intel MPI. Slurm can also start processes of Open MPI itself.
    number("OMPI_COMM_WORLD_SIZE")
        .or_else(|| number("PMI_SIZE"))
        .or_else(|| number("PMIX_RANK").and_then(|_: usize| number("SLURM_NTASKS")))
}

/// Returns the local rank: the index of this process among those that the launcher started on this machine.
pub fn local_rank() -> Option<usize> {
    of_launcher(["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"])
}

/// Returns the number of processes that the launcher started on this machine, 1 if it is not known.
pub fn local_ranks() -> usize {
    // Slurm's variable is also set in processes that Slurm did not start as ranks.
    let ranks = launched().and_then(|_| {
        of_launcher(["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"])
    });
    ranks.unwrap_or(1).max(1)
}

/// Returns the value of the first variable that is set: of Open MPI, of MPICH and Intel MPI, or of Slurm.
fn of_launcher(names: [&str; 3]) -> Option<usize> {
    names.into_iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}
