//! How much memory there is for what is about to be loaded.
//!
//! Invariant: a limit that cannot be read is no limit; nothing is refused for what is not known.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes that this process may still take without others being pushed out: what Linux counts as
/// available, or what is left of the smallest limit of the process's control groups (versions 1
/// and 2), if that is less. `None` where the system does not say.
pub fn available() -> Option<u64> {
    available_in(Path::new("/"))
}

/// Bytes that this process could have if it were alone: all that the system has, or the smallest
/// limit of the process's control groups, if that is less. `None` where the system does not say.
pub fn total() -> Option<u64> {
    total_in(Path::new("/"))
}

/// [`available`] of a system whose files lie in `root`.
fn available_in(root: &Path) -> Option<u64> {
    // What is free, and what can be had back.
    let system = system(root, "MemAvailable:");
    let group = groups(root).into_iter().filter_map(|group| group.left()).min();
    system.into_iter().chain(group).min()
}

/// [`total`] of a system whose files lie in `root`.
fn total_in(root: &Path) -> Option<u64> {
    let system = system(root, "MemTotal:");
    let group = groups(root).into_iter().filter_map(|group| group.number(group.limit)).min();
    system.into_iter().chain(group).min()
}

/// A line of `/proc/meminfo`.
fn system(root: &Path, field: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A control group, and what its version calls its files and fields.
struct Group {
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// Of `memory.stat`: pages of files that can be had back.
    reclaimable: &'static str,
}

impl Group {
    /// What a file of it says. Version 2 writes "max" where there is no limit, which is no number.
    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// What is left of its limit, if it has one.
    fn left(&self) -> Option<u64> {
        let limit = self.number(self.limit)?;
        let used = self.number(self.usage)?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let field = |line: &str| {
            line.strip_prefix(self.reclaimable)?.strip_prefix(' ')?.trim().parse::<u64>().ok()
        };
        let reclaimable = stat.lines().find_map(field).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
    }
}

/// The groups that this process is in, each with those around it.
fn groups(root: &Path) -> Vec<Group> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut groups = Vec::new();
    for line in text.lines() {
        // `number:controllers:path`; version 2 has no controllers here.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let mount = root.join("sys/fs/cgroup");
        let (mount, limit, usage, reclaimable) = match controllers {
            "" => (mount, "memory.max", "memory.current", "inactive_file"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                let mount = mount.join("memory");
                (mount, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            }
            _ => continue,
        };
        // In a container the path may be the one outside, and only the mount itself be there.
        let path = Path::new(path.trim_start_matches('/'));
        let folders = path.ancestors().map(|part| mount.join(part));
        groups.extend(folders.map(|folder| Group { folder, limit, usage, reclaimable }));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal: 16000000 kB\nMemFree: 10 kB\nMemAvailable:    8000 kB\n";

    /// What is available with these files.
    fn with(files: &[(&str, &str)]) -> Option<u64> {
        of(files, available_in)
    }

    fn of(files: &[(&str, &str)], ask: fn(&Path) -> Option<u64>) -> Option<u64> {
        let root = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, content).expect("it writes");
        }
        ask(root.path())
    }

    #[test]
    fn the_smallest_limit_counts_whatever_is_used() {
        let meminfo = ("proc/meminfo", MEMINFO);
        let total = |files: &[(&str, &str)]| of(files, total_in);
        assert_eq!(total(&[]), None);
        assert_eq!(total(&[meminfo]), Some(16_000_000 * 1024));
        let group = ("proc/self/cgroup", "0::/a/b\n");
        let around = ("sys/fs/cgroup/a/memory.max", "9000\n");
        let own = ("sys/fs/cgroup/a/b/memory.max", "max\n");
        let used = ("sys/fs/cgroup/a/memory.current", "8000\n");
        assert_eq!(total(&[meminfo, group, own]), Some(16_000_000 * 1024));
        assert_eq!(total(&[meminfo, group, own, around, used]), Some(9000));
    }

    #[test]
    fn the_smallest_of_system_and_groups_counts() {
        const SYSTEM: u64 = 8000 * 1024;
        let meminfo = ("proc/meminfo", MEMINFO);
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("proc/meminfo", "MemAvailable: many kB\n")]), None);
        assert_eq!(with(&[meminfo]), Some(SYSTEM));
        let second = ("proc/self/cgroup", "0::/a/b\n");
        let group = "sys/fs/cgroup/a/b/memory";
        let max = (&*format!("{group}.max"), "5000000\n");
        let current = (&*format!("{group}.current"), "2000000\n");
        let stat = (&*format!("{group}.stat"), "anon 7\ninactive_file 500000\nx 1\n");
        assert_eq!(with(&[meminfo, second, max, current]), Some(3_000_000));
        assert_eq!(with(&[meminfo, second, max, current, stat]), Some(3_500_000));
        assert_eq!(with(&[second, max, current]), Some(3_000_000));
        // No limit here, but one around it.
        let unlimited = (max.0, "max\n");
        assert_eq!(with(&[meminfo, second, unlimited, current]), Some(SYSTEM));
        let around =
            [("sys/fs/cgroup/a/memory.max", "4096"), ("sys/fs/cgroup/a/memory.current", "5000")];
        assert_eq!(with(&[&[meminfo, second, unlimited, current], &around[..]].concat()), Some(0));
    }

    #[test]
    fn groups_of_version_1_count_also_where_their_path_is_another_here() {
        let group = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/outside/7\n0::/\n");
        let files = |folder: &str| {
            let file = |name: &str| format!("sys/fs/cgroup/memory/{folder}memory.{name}");
            let [limit, usage, stat] = ["limit_in_bytes", "usage_in_bytes", "stat"].map(file);
            let stat = (&*stat, "inactive_file 1\ntotal_inactive_file 300\n");
            with(&[("proc/meminfo", MEMINFO), group, (&limit, "2000"), (&usage, "1000"), stat])
        };
        assert_eq!(files("outside/7/"), Some(1300));
        assert_eq!(files(""), Some(1300));
    }
}
