//! How much memory compilers may take: not more than half of what the host's cgroup has, because the kernel may end all of
//! a pod where one process of it takes too much.

use std::fs;
use std::path::Path;

use tokio::sync::Semaphore;

/// How much memory one compiler may take at most, in bytes.
const MOST_MEMORY: u64 = 1 << 30;

/// How many compilers run at once at most.
const MOST_AT_ONCE: u64 = 4;

/// The room for compilers.
pub(super) struct Room {
    /// How much memory one of them may take, in bytes.
    pub(super) memory: u64,
    /// As many as may run at once.
    pub(super) places: Semaphore,
}

impl Room {
    /// What this process has.
    pub(super) fn here() -> Self {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let limit = read("/proc/self/cgroup".as_ref()).and_then(|cgroups| limit(&cgroups, read));
        let (memory, at_once) = share(limit);
        Self { memory, places: Semaphore::new(at_once) }
    }
}

/// How much memory a compiler may take, in bytes, and how many of them at once, where the host and all of them have so much.
fn share(limit: Option<u64>) -> (u64, usize) {
    let most = limit.map_or(u64::MAX, |limit| limit / 2);
    let memory = most.min(MOST_MEMORY);
    let at_once = (most / memory.max(1)).clamp(1, MOST_AT_ONCE);
    (memory, usize::try_from(at_once).unwrap_or(1))
}

/// The least of the memory limits, in bytes, of the cgroups that a process is in, by its `/proc/PID/cgroup`, and of all
/// that these are in. None: there is none.
///
/// For the formats see cgroups(7), and the kernel's documents on `memory.max` (v2) and `memory.limit_in_bytes` (v1).
fn limit(cgroups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = cgroups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        // In a container it may be a path of the machine, while the container's own cgroup is what it has at the root.
        let folders =
            Path::new(path).ancestors().filter_map(|path| Some(Path::new(root).join(path.strip_prefix("/").ok()?)));
        // Without a limit, v2 has `max` there, and v1 a number of more bytes than there are.
        folders.filter_map(|folder| read(&folder.join(file))?.trim().parse().ok()).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn compilers_have_half_of_the_memory_and_run_at_once_only_where_all_of_them_fit() {
        assert_eq!(share(None), (1024 * MIB, 4));
        assert_eq!(share(Some(512 * MIB)), (256 * MIB, 1));
        assert_eq!(share(Some(2 * 1024 * MIB)), (1024 * MIB, 1));
        assert_eq!(share(Some(5 * 1024 * MIB)), (1024 * MIB, 2));
        assert_eq!(share(Some(1024 * 1024 * MIB)), (1024 * MIB, 4));
        assert_eq!(share(Some(0)), (0, 1));
        for limit in (0..10_000).map(|number| number * MIB) {
            let (memory, at_once) = share(Some(limit));
            assert!(memory * at_once as u64 <= limit / 2, "{limit}");
        }
    }

    fn limit_of(cgroups: &str, files: &[(&str, &str)]) -> Option<u64> {
        let text =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        limit(cgroups, text)
    }

    #[test]
    fn a_limit_is_the_least_of_the_cgroup_and_of_those_that_it_is_in() {
        let max = "/sys/fs/cgroup/memory.max";
        assert_eq!(
            limit_of("0::/\n", &[(max, "536870912\n")]),
            Some(512 * MIB),
            "a container with a namespace of its own"
        );
        assert_eq!(limit_of("0::/\n", &[(max, "max\n")]), None);
        assert_eq!(limit_of("0::/\n", &[]), None, "the root of a machine has no such file");
        let (above, below) = ("/sys/fs/cgroup/a.slice/memory.max", "/sys/fs/cgroup/a.slice/b.service/memory.max");
        assert_eq!(limit_of("0::/a.slice/b.service\n", &[(above, "1000\n"), (below, "max\n")]), Some(1000));
        assert_eq!(limit_of("0::/a.slice/b.service\n", &[(above, "1000\n"), (below, "500\n")]), Some(500));
        assert_eq!(limit_of("0::/a.slice\n", &[(above, "1000\n"), (below, "500\n")]), Some(1000));
    }

    #[test]
    fn the_first_version_of_cgroups_is_understood_and_one_beside_the_other() {
        let cgroups = "9:name=systemd:/\n5:cpu,cpuacct:/x\n4:memory:/kubepods/pod1/c1\n0::/\n";
        let (own, root) = ("/sys/fs/cgroup/memory/kubepods/pod1/c1", "/sys/fs/cgroup/memory");
        let file = |folder: &str| format!("{folder}/memory.limit_in_bytes");
        assert_eq!(limit_of(cgroups, &[(&file(own), "1000\n"), (&file(root), "9223372036854771712\n")]), Some(1000));
        assert_eq!(
            limit_of(cgroups, &[(&file(root), "1000\n")]),
            Some(1000),
            "a container that has its own at the root"
        );
        assert_eq!(limit_of("what is this\n::::\n", &[]), None);
    }
}
