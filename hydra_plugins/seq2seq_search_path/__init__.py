"""Lets a user's own Hydra application use the groups of this package."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from seq2seq_lightning.config_store import conf_dir


class Seq2SeqSearchPath(SearchPathPlugin):
    """Appends the shipped `conf/` to the search path, after the application's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra at start."""
        search_path.append(provider="seq2seq_lightning", path=f"file://{conf_dir()}")
