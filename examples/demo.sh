#!/bin/sh
# The whole way on simulated data: bias, dark, flat and defects, each verified, then applied to the sky.
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
run cpp sim "$folder/raw" --bias 25 --dark 9 --flat 15 --science 2 --exposure-time 60 --light 400 --filter r --seed 1
cd "$folder"
run cpp init --instrument simcam
run cpp ingest raw
run cpp plan --type bias
run cpp produce --type bias
run cpp produce --type bias
run cpp verify
run cpp produce --type defects --with-deps
run cpp verify --type dark
run cpp verify --type flat
run cpp verify --type defects
run cpp apply raw/sim_science_*.fits -o calibrated --require flat --allow-uncertified
run cpp find --products
run cpp show --bits
echo
echo "the repository is in '$folder', calibrated frames in '$folder/calibrated'; try: cd $folder && cpp explain last"
