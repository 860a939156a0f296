"""Lets Hydra find the options of plug-ins, and a user's own Hydra application the groups of this package."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from seq2seq_lightning.config_store import conf_dir
from seq2seq_lightning.plugins import check_options, conf_folders


class Seq2SeqSearchPath(SearchPathPlugin):
    """Appends the shipped `conf/` to the search path, after the application's own, and those of installed plug-ins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra at start."""
        search_path.append(provider="seq2seq_lightning", path=f"file://{conf_dir()}")
        check_options(Path(conf_dir()))
        for plugin, folder in conf_folders():
            search_path.append(provider=plugin.distribution, path=f"file://{folder}")
