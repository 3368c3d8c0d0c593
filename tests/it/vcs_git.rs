//! Polling git repositories: what is new is told once, whatever people do to their branches.

use starwright::testing::base::Timestamp;
use tempfile::TempDir;

use crate::support::git::Repository;
use crate::support::git_source::GitSource;

fn repository() -> (TempDir, Repository) {
    let dir = TempDir::new().unwrap();
    let repository = Repository::new(&dir.path().join("repo"), &[("README.md", "hello\n")]);
    (dir, repository)
}

fn on(branch: &str, revisions: &[&String]) -> Vec<(String, String)> {
    revisions.iter().map(|revision| (branch.to_owned(), (*revision).clone())).collect()
}

fn tip(repository: &Repository, name: &str) -> String {
    repository.git(&["rev-parse", name]).trim().to_owned()
}

fn pairs(changes: &[(&str, &String)]) -> Vec<(String, String)> {
    changes.iter().map(|(branch, revision)| ((*branch).to_owned(), (*revision).clone())).collect()
}

#[tokio::test]
async fn the_first_poll_takes_the_tip_and_later_ones_tell_what_came() {
    let (_dir, repository) = repository();
    repository.commit("second", &[("a.txt", "a\n")]);
    let mut source = GitSource::new(&repository.path, &["main"]);
    assert_eq!(source.poll().await, []);
    assert_eq!(source.cursor, Some([("main".to_owned(), tip(&repository, "main"))].into()));

    repository.git(&["mv", "a.txt", "grün.txt"]);
    std::fs::create_dir(repository.path.join("dir")).unwrap();
    std::fs::write(repository.path.join("dir/b.txt"), "b").unwrap();
    repository.git(&["add", "-A"]);
    let message = "Move things\n\nBecause.\n";
    repository.git(&["commit", "-q", "-m", message, "--author", "Żółw <zolw@example.org>"]);
    let changes = source.poll().await;

    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(change.author, "Żółw <zolw@example.org>");
    assert_eq!(change.committer.as_deref(), Some("Ada Lovelace <ada@example.org>"));
    assert_eq!(change.comments, "Move things\n\nBecause.");
    assert_eq!(change.files, ["a.txt", "dir/b.txt", "grün.txt"]);
    assert_eq!(change.branch.as_deref(), Some("main"));
    assert_eq!(change.revision, Some(tip(&repository, "main")));
    assert_eq!((change.revlink.clone(), change.category.as_deref()), (None, Some("push")));
    assert_eq!(change.repository, repository.path.to_str().unwrap());
    assert_eq!((change.project.as_str(), change.codebase.as_str()), ("sysgrove", "core"));
    let seconds: i64 = repository.git(&["log", "-1", "--format=%ct"]).trim().parse().unwrap();
    assert_eq!(change.when, Some(Timestamp::from_seconds(seconds)));
    assert_eq!(source.poll().await, []);
}

#[tokio::test]
async fn a_poll_that_finds_nothing_new_only_lists() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    let log = source.note("log");
    source = source.script(&format!("echo \"$@\" >> {}\nexec GIT \"$@\"", log.display()));
    source.poll().await;
    std::fs::remove_file(&log).unwrap();
    assert_eq!(source.poll().await, []);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("ls-remote") && !log.contains("fetch"), "{log}");
}

#[tokio::test]
async fn commits_are_told_oldest_first() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &[]);
    source.poll().await;
    let revisions: Vec<String> =
        (0..5).map(|n| repository.commit(&format!("c{n}"), &[("f", &n.to_string())])).collect();
    assert_eq!(source.seen().await, on("main", &revisions.iter().collect::<Vec<_>>()));
}

#[tokio::test]
async fn a_merge_tells_what_it_brought_and_its_own_commit_last() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    repository.git(&["checkout", "-q", "-b", "side"]);
    let side = repository.commit("side", &[("side.txt", "s")]);
    repository.git(&["checkout", "-q", "main"]);
    let ours = repository.commit("ours", &[("ours.txt", "o")]);
    repository.git(&["merge", "-q", "--no-ff", "-m", "merge side", "side"]);
    let changes = source.poll().await;

    let mut revisions: Vec<String> = changes.iter().map(|change| change.revision.clone().unwrap()).collect();
    assert_eq!(revisions.pop(), Some(tip(&repository, "main")));
    revisions.sort();
    let mut expected = vec![side, ours];
    expected.sort();
    assert_eq!(revisions, expected);
    assert_eq!(changes[2].files, ["side.txt"], "as seen from the branch that it was merged into");
    assert!(changes.iter().all(|change| change.branch.as_deref() == Some("main")));
}

#[tokio::test]
async fn a_commit_is_told_for_each_branch_where_it_is_new() {
    let (_dir, repository) = repository();
    repository.git(&["branch", "stable"]);
    let mut source = GitSource::new(&repository.path, &["main", "stable"]);
    source.poll().await;
    let fix = repository.commit("fix", &[("f", "1")]);
    assert_eq!(source.seen().await, on("main", &[&fix]));
    repository.git(&["branch", "-f", "stable", "main"]);
    assert_eq!(source.seen().await, on("stable", &[&fix]));
}

#[tokio::test]
async fn a_new_branch_tells_what_no_known_branch_has() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["*"]);
    source.poll().await;

    repository.git(&["branch", "same"]);
    assert_eq!(source.seen().await, on("same", &[&tip(&repository, "main")]), "at least its tip");

    let on_main = repository.commit("on main", &[("m", "1")]);
    repository.git(&["checkout", "-q", "-b", "feature/x"]);
    let first = repository.commit("f1", &[("f", "1")]);
    let second = repository.commit("f2", &[("f", "2")]);
    assert_eq!(source.seen().await, pairs(&[("feature/x", &first), ("feature/x", &second), ("main", &on_main)]));
}

#[tokio::test]
async fn a_branch_that_shares_no_history_tells_its_tip() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["*"]);
    source.poll().await;
    repository.git(&["checkout", "-q", "--orphan", "pages"]);
    repository.commit("p1", &[("p", "1")]);
    let last = repository.commit("p2", &[("p", "2")]);
    assert_eq!(source.seen().await, on("pages", &[&last]));
}

#[tokio::test]
async fn a_rewritten_branch_tells_what_came_since_the_two_parted() {
    let (_dir, repository) = repository();
    let base = repository.commit("base", &[("f", "0")]);
    repository.commit("old", &[("f", "1")]);
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;

    repository.git(&["reset", "-q", "--hard", &base]);
    let first = repository.commit("new 1", &[("f", "2")]);
    let second = repository.commit("new 2", &[("f", "3")]);
    assert_eq!(source.seen().await, on("main", &[&first, &second]));

    repository.git(&["reset", "-q", "--hard", &base]);
    assert_eq!(source.seen().await, [], "a branch that went back has nothing new");
    assert_eq!(source.cursor.as_ref().unwrap()["main"], base);

    repository.git(&["checkout", "-q", "--orphan", "other"]);
    repository.commit("unrelated 1", &[("u", "1")]);
    let last = repository.commit("unrelated 2", &[("u", "2")]);
    repository.git(&["branch", "-f", "main", "other"]);
    assert_eq!(source.seen().await, on("main", &[&last]), "a history that never met the old one tells its tip");
}

#[tokio::test]
async fn a_rewritten_branch_whose_old_tip_is_gone_tells_its_tip() {
    let (_dir, repository) = repository();
    let base = repository.commit("base", &[("f", "0")]);
    repository.commit("old", &[("f", "1")]);
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    std::fs::remove_dir_all(source.cache()).unwrap();

    repository.git(&["reset", "-q", "--hard", &base]);
    repository.commit("new 1", &[("f", "2")]);
    let last = repository.commit("new 2", &[("f", "3")]);
    assert_eq!(source.seen().await, on("main", &[&last]));
}

#[tokio::test]
async fn a_deleted_branch_is_forgotten_and_may_come_back() {
    let (_dir, repository) = repository();
    repository.git(&["branch", "topic"]);
    let mut source = GitSource::new(&repository.path, &["main", "topic"]);
    source.poll().await;
    repository.git(&["branch", "-D", "topic"]);
    assert_eq!(source.seen().await, []);
    assert_eq!(source.cursor.as_ref().unwrap().keys().collect::<Vec<_>>(), ["main"]);

    // A branch in a directory of the old one's name: git itself could not keep both.
    let mut all = GitSource::new(&repository.path, &["*"]);
    repository.git(&["branch", "topic"]);
    all.poll().await;
    repository.git(&["branch", "-D", "topic"]);
    repository.git(&["branch", "topic/one"]);
    assert_eq!(all.seen().await, on("topic/one", &[&tip(&repository, "main")]));
    repository.git(&["branch", "topic-two"]);
    assert_eq!(all.seen().await, on("topic-two", &[&tip(&repository, "main")]));
}

#[tokio::test]
async fn of_too_many_commits_the_newest_are_told() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["*"]).at_most(2);
    source.poll().await;
    let revisions: Vec<String> =
        (0..4).map(|n| repository.commit(&format!("c{n}"), &[("f", &n.to_string())])).collect();
    assert_eq!(source.seen().await, on("main", &[&revisions[2], &revisions[3]]));

    repository.git(&["checkout", "-q", "-b", "topic"]);
    let revisions: Vec<String> =
        (0..4).map(|n| repository.commit(&format!("t{n}"), &[("t", &n.to_string())])).collect();
    assert_eq!(source.seen().await, on("topic", &[&revisions[2], &revisions[3]]));
}

#[tokio::test]
async fn the_default_branch_may_change_its_name() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &[]);
    source.poll().await;
    repository.git(&["branch", "-m", "main", "trunk"]);
    assert_eq!(source.seen().await, on("trunk", &[&tip(&repository, "trunk")]));
    let next = repository.commit("next", &[("f", "1")]);
    assert_eq!(source.seen().await, on("trunk", &[&next]));
}

#[tokio::test]
async fn an_empty_repository_tells_its_first_commit() {
    let dir = TempDir::new().unwrap();
    let repository = Repository { path: dir.path().join("repo") };
    std::fs::create_dir(&repository.path).unwrap();
    repository.git(&["init", "-q", "-b", "main"]);
    for branches in [&[][..], &["main"], &["*"]] {
        let mut source = GitSource::new(&repository.path, branches);
        assert_eq!(source.poll().await, []);
        assert_eq!(source.cursor, Some([].into()));
    }
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    repository.commit("first", &[("f", "1")]);
    let second = repository.commit("second", &[("f", "2")]);
    assert_eq!(source.seen().await, on("main", &[&second]));
}

#[tokio::test]
async fn a_checkout_with_unfinished_work_is_polled_for_its_commits() {
    let (_dir, repository) = repository();
    std::fs::write(repository.path.join("README.md"), "unfinished").unwrap();
    std::fs::write(repository.path.join("new.txt"), "unfinished").unwrap();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    repository.git(&["commit", "-q", "-m", "half of it", "README.md"]);
    let changes = source.poll().await;
    assert_eq!(changes[0].files, ["README.md"]);
    assert_eq!(std::fs::read_to_string(repository.path.join("new.txt")).unwrap(), "unfinished");
}

#[tokio::test]
async fn a_shallow_checkout_can_be_polled() {
    let (dir, repository) = repository();
    repository.commit("second", &[("f", "2")]);
    let url = format!("file://{}", repository.path.display());
    repository.git(&["clone", "-q", "--depth", "1", &url, "../shallow"]);
    let shallow = Repository { path: dir.path().join("shallow") };
    let mut source = GitSource::new(&shallow.path, &["main"]);
    source.poll().await;
    let third = shallow.commit("third", &[("f", "3")]);
    assert_eq!(source.seen().await, on("main", &[&third]));
    std::fs::remove_dir_all(source.cache()).unwrap();
    let fourth = shallow.commit("fourth", &[("f", "4")]);
    assert_eq!(source.seen().await, on("main", &[&fourth]));
}

#[tokio::test]
async fn messages_in_old_encodings_are_read() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    std::fs::write(repository.path.join("message"), b"Gr\xfc\xdfe\n").unwrap();
    repository.git(&["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-F", "message"]);
    repository.git(&["-c", "i18n.commitEncoding=", "commit", "-q", "--allow-empty", "-F", "message"]);
    let changes = source.poll().await;
    assert_eq!(changes[0].comments, "Grüße");
    assert_eq!(changes[0].files, Vec::<String>::new());
    assert!(changes[1].comments.starts_with("Gr"), "{}", changes[1].comments);
}

#[tokio::test]
async fn hundreds_of_branches_are_fetched_in_parts() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["*"]);
    source.poll().await;
    let head = repository.commit("next", &[("f", "1")]);
    let packed: Vec<String> = (0..250).map(|n| format!("{head} refs/heads/many/{n:03}\n")).collect();
    let packed = packed.concat();
    std::fs::write(
        repository.path.join(".git/packed-refs"),
        format!("# pack-refs with: peeled fully-peeled sorted \n{packed}"),
    )
    .unwrap();
    let seen = source.seen().await;
    assert_eq!(seen.len(), 251);
    assert!(seen.iter().all(|(_, revision)| *revision == head));
    assert_eq!(source.seen().await, []);
}

#[tokio::test]
async fn a_branch_that_moves_between_listing_and_fetching_is_not_told_twice() {
    let (_dir, repository) = repository();
    let path = repository.path.display().to_string();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    let first = repository.commit("first", &[("f", "1")]);
    let commit =
        "git -C PATH -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m late".replace("PATH", &path);
    let mut source =
        source.script(&format!("case \"$*\" in *ls-remote*) GIT \"$@\"; {commit} ;; *) exec GIT \"$@\" ;; esac"));
    let late = source.seen().await;
    assert_eq!(late, on("main", &[&first, &tip(&repository, "main")]));
    source.program.program = "git".into();
    assert_eq!(source.seen().await, []);
}

#[tokio::test]
async fn authors_and_messages_are_read_as_they_were_written() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &[]);
    source.poll().await;
    std::fs::write(repository.path.join("message"), b"K\xe4se\n").unwrap();
    repository.git(&["commit", "-q", "--allow-empty", "-m", "ü"]);
    let script = "GIT_AUTHOR_NAME=$(printf 'J\\374rgen') GIT_AUTHOR_EMAIL=j@example.org git \
                  -c i18n.commitEncoding=ISO-8859-1 commit -q --allow-empty -F message";
    repository.shell(script);
    let changes = source.poll().await;
    let told: Vec<_> = changes.iter().map(|change| (change.author.as_str(), change.comments.as_str())).collect();
    assert_eq!(told[1], ("Jürgen <j@example.org>", "Käse"));
    assert_eq!(told[0].1, "ü");
}

#[tokio::test]
async fn new_and_moved_tags_are_changes() {
    let (_dir, repository) = repository();
    repository.git(&["tag", "v0"]);
    let mut source = GitSource::new(&repository.path, &[]).tags(&["v*"]);
    assert_eq!(source.poll().await, [], "what is there is taken as seen");
    let first = tip(&repository, "main");
    repository.git(&["tag", "v1"]);
    repository.git(&["tag", "-a", "-m", "the second", "v2"]);
    repository.git(&["tag", "other"]);
    repository.git(&["tag", "v-tree", "HEAD^{tree}"]);
    let changes = source.poll().await;
    let told: Vec<_> = changes.iter().map(|change| (change.branch.as_deref(), change.revision.as_ref())).collect();
    assert_eq!(told, [(Some("refs/tags/v1"), Some(&first)), (Some("refs/tags/v2"), Some(&first))]);
    assert_eq!(changes[1].comments, "the second");
    assert_eq!(changes[1].category.as_deref(), Some("tag"));
    assert_eq!(changes[1].properties.get("tag"), Some(&"v2".into()));
    assert_eq!(source.poll().await, []);

    let second = repository.commit("second", &[("a", "a")]);
    repository.git(&["tag", "-f", "v1"]);
    repository.git(&["tag", "-d", "v0"]);
    assert_eq!(source.seen().await, pairs(&[("main", &second), ("refs/tags/v1", &second)]));
}

#[tokio::test]
async fn tags_that_were_there_before_they_were_followed_are_no_changes() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &[]);
    source.poll().await;
    repository.git(&["tag", "v1"]);
    let mut source = source.tags(&["v*"]);
    assert_eq!(source.poll().await, []);
    repository.git(&["tag", "v2"]);
    assert_eq!(source.seen().await, on("refs/tags/v2", &[&tip(&repository, "main")]));
}
