# The life of a repository. Dates and names are set, so that every hash is known.
set -e
export GIT_CONFIG_NOSYSTEM=1 TZ=UTC
git config --global user.name Somebody
git config --global user.email somebody@example.org
git config --global pack.threads 1
git config --global gc.auto 0
git config --global init.defaultBranch main
now=1700000000
tick() { now=$((now + 60)); export GIT_AUTHOR_DATE="$now +0000" GIT_COMMITTER_DATE="$now +0000"; }
lines() { awk -v x="$1" -v count="$2" 'BEGIN { for (i = 0; i < count; i++) { x = (x * 1103515 + 12345) % 2147483648; printf "line %d value %d\n", i, x % 100000 } }'; }

git init -q one && cd one
for i in $(seq 1 20); do mkdir -p "d$((i % 5))"; lines "$i" $((20 + i * 3)) > "d$((i % 5))/f$i"; done
tick; git add -A; git commit -q -m first
for i in $(seq 1 6); do lines $((i + 100)) 30 >> "d$((i % 5))/f$i"; tick; git commit -q -a -m "change $i"; done
git tag -a -m 'version one' v1
git checkout -q -b side HEAD~4
for i in $(seq 11 14); do sed -i "3s/.*/side $i/" "d$((i % 5))/f$i"; tick; git commit -q -a -m "side $i"; done
git mv d1/f1 renamed; tick; git commit -q -m rename
git checkout -q main; tick; git merge -q --no-edit side
git checkout -q -b topic main~2; echo new > new; git add new; tick; git commit -q -m topic; tick; git rebase -q main; git rev-parse topic
git checkout -q main; tick; git cherry-pick topic > /dev/null; tick; git revert --no-edit HEAD~2 > /dev/null 2>&1 || git revert --abort
git log --format='%H %T %s'
git diff -M --stat v1 HEAD | tail -n 1
git diff --patience v1 HEAD | sha256sum
git blame -s d2/f2 | cut -d ' ' -f 2- | sha256sum
git gc -q --aggressive --prune=now
git count-objects -v | grep -E 'count|packs|garbage'
git fsck --full --strict
git bundle create -q ../bundle --all
cd ..
git clone -q bundle two
git -C two fsck --full
git -C two rev-parse HEAD
git -C two archive v1 | sha256sum
git init -q --object-format=sha256 three && cp -r one/d1 three/ && cd three
git add -A; tick; git commit -q -m third; git rev-parse HEAD; git fsck
