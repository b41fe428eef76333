package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/webpubsub/internal/modpath"
)

// update is one run of the command.
type update struct {
	dir, from, url, ref string
	out                 io.Writer

	git git
}

func (u *update) run() error {
	u.git = git{dir: u.dir}
	if err := u.check(); err != nil {
		return err
	}
	module, err := modpath.Read(filepath.Join(u.dir, "go.mod"))
	if err != nil {
		return err
	}
	// The committed file counts, since the committed tree is what is changed.
	var last record
	if text, err := u.git.run("show", "HEAD:"+recordFile); err == nil {
		if last, err = parseRecord(text); err != nil {
			return err
		}
	}
	if u.url == "" {
		u.url = last.url
	}
	if err := checkSource(u.url, u.ref); err != nil {
		return err
	}
	newest, err := u.fetch()
	if err != nil {
		return err
	}
	base, err := u.base(last.commit, newest)
	if err != nil {
		return err
	}
	if base == newest {
		fmt.Fprintf(u.out, "already up to date with %s\n", short(newest))
		return nil
	}
	if u.git.ok("merge-base", "--is-ancestor", newest, base) {
		return fmt.Errorf("%s is older than %s, which this repository has", short(newest), short(base))
	}

	before, err := u.renamed(base, module)
	if err != nil {
		return err
	}
	after, err := u.renamed(newest, module)
	if err != nil {
		return err
	}
	next := record{url: u.url, commit: newest, keep: last.keep}
	// The application is what a fork replaces. Later on this is in the record.
	if last.commit == "" && !slices.Contains(next.keep, "app") && !u.same("HEAD:app", before+":app") {
		next.keep = append(next.keep, "app")
	}
	return u.apply(change{base: base, newest: newest, before: before, after: after, record: next})
}

// same reports whether two folders or files of trees are.
func (u *update) same(a, b string) bool {
	ids, err := u.git.run("rev-parse", a, b)
	first, second, _ := strings.Cut(ids, "\n")
	return err == nil && first == second
}

// check rejects a folder whose changes could not be distinguished from those of upstream.
func (u *update) check() error {
	prefix, err := u.git.run("rev-parse", "--show-prefix")
	switch {
	case err != nil && strings.Contains(err.Error(), "not a git repository"):
		return errors.New("this is not a git repository: run git init, and commit the files as they came from upstream, before your own changes")
	case err != nil:
		return err
	case prefix != "":
		return errors.New("run the command in the root of the repository")
	}
	if !u.git.ok("rev-parse", "--verify", "HEAD^{commit}") {
		return errors.New("the repository has no commit: commit the files as they came from upstream, before your own changes")
	}
	for _, name := range []string{"CHERRY_PICK_HEAD", "MERGE_HEAD", "REBASE_HEAD"} {
		if u.git.ok("rev-parse", "--verify", name) {
			return errors.New("an update, merge or rebase has not been finished: git status shows how to continue or abort it")
		}
	}
	status, err := u.git.run("status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return err
	}
	if status != "" {
		return fmt.Errorf("there are changes that are not committed: commit or stash them\n%s", status)
	}
	return nil
}

// fetch returns the commit of upstream to update to.
func (u *update) fetch() (string, error) {
	ref := u.ref
	if ref == "" {
		ref = "HEAD"
	}
	if _, err := u.git.run("fetch", "--quiet", "--no-tags", "--", u.url, ref); err != nil {
		return "", fmt.Errorf("cannot fetch %s of %s: check the URL, your access and the network\n%w", ref, u.url, err)
	}
	return u.git.run("rev-parse", "--verify", "FETCH_HEAD^{commit}")
}

// base returns the commit of upstream that the fork already has.
func (u *update) base(recorded, newest string) (string, error) {
	if u.from != "" {
		recorded = u.from
	}
	if recorded != "" {
		commit, err := u.git.run("rev-parse", "--verify", "--end-of-options", recorded+"^{commit}")
		if err != nil {
			return "", fmt.Errorf("upstream has no commit %s: name the one that this repository has with -from", recorded)
		}
		recorded = commit
	}
	common, err := u.git.run("merge-base", "HEAD", newest)
	switch {
	case u.from != "":
		return recorded, nil
	case err == nil && (recorded == "" || u.git.ok("merge-base", "--is-ancestor", recorded, common)):
		return common, nil // the history of upstream is part of this one
	case recorded != "":
		return recorded, nil
	}
	if shallow, _ := u.git.run("rev-parse", "--is-shallow-repository"); shallow == "true" {
		return "", errors.New("this is a shallow clone, which does not show what the repository was made from: run git fetch --unshallow")
	}
	return u.sameTree(newest)
}

// sameTree returns the commit of upstream whose files are those of the first commit
// here, as in a repository that was made from a template.
func (u *update) sameTree(newest string) (string, error) {
	first, err := u.git.run("log", "--max-parents=0", "--format=%T", "HEAD")
	if err != nil {
		return "", err
	}
	all, err := u.git.run("log", "--format=%T %H", newest)
	if err != nil {
		return "", err
	}
	commits := make(map[string]string)
	for line := range strings.Lines(all) {
		tree, commit, _ := strings.Cut(strings.TrimSpace(line), " ")
		if commits[tree] == "" {
			commits[tree] = commit
		}
	}
	for tree := range strings.FieldsSeq(first) {
		if commits[tree] != "" {
			return commits[tree], nil
		}
	}
	return "", errors.New("no commit of upstream has the same files as the first commit here, so it is not known what this repository was made from: name the commit of upstream with -from; git log FETCH_HEAD lists them")
}

// renamed returns a tree with the files of the commit under the module path.
func (u *update) renamed(commit, module string) (tree string, err error) {
	dir, err := os.MkdirTemp("", "webpubsub-update")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	gitDir, err := u.git.run("rev-parse", "--absolute-git-dir")
	if err != nil {
		return "", err
	}
	files := filepath.Join(dir, "files")
	if err := os.Mkdir(files, 0o700); err != nil {
		return "", err
	}
	temp := git{dir: files, env: []string{"GIT_DIR=" + gitDir, "GIT_WORK_TREE=" + files, "GIT_INDEX_FILE=" + filepath.Join(dir, "index")}}
	if _, err := temp.run("read-tree", commit); err != nil {
		return "", err
	}
	if _, err := temp.run("checkout-index", "--all"); err != nil {
		return "", err
	}
	if _, err := modpath.Rename(files, module); err != nil {
		return "", fmt.Errorf("rename the module of %s: %w", short(commit), err)
	}
	if _, err := temp.run("add", "--update"); err != nil {
		return "", err
	}
	return temp.run("write-tree")
}
