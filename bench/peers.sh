#!/bin/sh
# Install the servers that bench.http compares captionq with, each into an environment of its own: build/peers/NAME.
#
#     bench/peers.sh
#
# mlx_vlm.server gets one too: captionq's own environment has no mlx-audio, without which the server does not start.
set -eu

cd "$(dirname "$0")/.."
uv=.venv/bin/uv
without=build/peers/without.txt
mkdir -p build/peers

# Left out, by a marker that is never true: gigabytes that no answer about an image needs with a processor of mlx-vlm.
cat >"$without" <<LIST
torch; sys_platform == "never"
torchvision; sys_platform == "never"
timm; sys_platform == "never"
gradio; sys_platform == "never"
LIST

# mlx's wheel for Linux is an extra; on a Mac the extra has no effect.
peer() {
    name=$1
    shift
    $uv venv --quiet --allow-existing --python .venv/bin/python "build/peers/$name"
    $uv pip install --quiet --python "build/peers/$name/bin/python" --overrides "$without" 'mlx[cpu]' "$@"
    echo "build/peers/$name"
}

peer mlx-vlm mlx==0.32.4 mlx-vlm==0.7.10 mlx-audio
peer vllm-mlx vllm-mlx==0.6.0
# mlx-vlm as vmlx asks for it on a Mac. It imports a name that mlx-lm 0.32 no longer has.
peer vmlx vmlx==1.6.81 'mlx-vlm>=0.5,<0.6' 'mlx-lm<0.32'
