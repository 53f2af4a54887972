#!/bin/sh
# The main job on simulated data: a night of bias frames becomes a verified master bias.
set -eu
folder=${1:-demo}
if [ -e "$folder" ]; then
    echo "the folder '$folder' exists; remove it or name another: make demo DEMO=other" >&2
    exit 2
fi
mkdir -p "$folder"
run() {
    echo
    echo "\$ $*"
    "$@"
}
run cpp sim "$folder/raw" --bias 25 --seed 1
cd "$folder"
run cpp init --instrument simcam
run cpp ingest raw
run cpp plan --type bias
run cpp produce --type bias
run cpp produce --type bias
run cpp verify
run cpp show
echo
echo "the repository is in '$folder'; try: cd $folder && cpp explain last"
