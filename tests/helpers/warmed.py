"""Imported by the process that tests fork from: what a command does once, such as imports, is done here.

Nothing here may calculate with torch, for its threads do not survive a fork.
"""

import pandas.io.parquet  # noqa: F401 - for scores and histograms
import pyarrow.parquet  # noqa: F401 - pandas loads it when it first writes
import torch.utils.flop_counter  # noqa: F401 - for what a prediction costs
from hydra import compose, initialize_config_dir
from PIL import Image

import kolbench.cli
import kolbench.data.sources.synthetic
import kolbench.models.rsudisnet
import kolbench.models.unet
import kolbench.tasks.predict  # noqa: F401
from kolbench.config.compose import conf_dir, register
from kolbench.runs import fingerprint
from kolbench.tasks.fit import ENTRY_MODULES

# the parsers of Hydra and of our own sources keep what they have read
register()
with initialize_config_dir(str(conf_dir()), version_base="1.3"):
    compose("config", ["experiment=unet", "budget.limit={train: 4, val: 1, test: 1}"])
fingerprint.code_hash([*ENTRY_MODULES, "kolbench.models.rsudisnet", "kolbench.models.unet"])
Image.init()
