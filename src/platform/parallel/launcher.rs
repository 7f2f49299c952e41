//! What the launcher that started this process, such as `mpirun`, says in its environment.

/// Returns the number of processes that a launcher started, if there is a launcher.
pub fn launched() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    // Open MPI, MPICH and Intel MPI; Slurm starts the processes of Open MPI itself, too.
    number("OMPI_COMM_WORLD_SIZE")
        .or_else(|| number("PMI_SIZE"))
        .or_else(|| number("PMIX_RANK").and_then(|_: usize| number("SLURM_NTASKS")))
}

/// Returns the number of this process among those that the launcher started on this machine.
pub fn local_rank() -> Option<usize> {
    of_launcher(["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"])
}

/// Returns the number of processes that the launcher started on this machine, 1 if it is not known.
pub fn local_ranks() -> usize {
    // Slurm's variable is also there where it did not start the process.
    let ranks = launched().and_then(|_| {
        of_launcher(["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"])
    });
    ranks.unwrap_or(1).max(1)
}

/// Returns the number in the first of these variables that is set: of Open MPI, of MPICH and Intel MPI, or of Slurm.
fn of_launcher(names: [&str; 3]) -> Option<usize> {
    names.into_iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}
