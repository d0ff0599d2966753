"""One YAML file a way to train, which lies over any preset; its header says what it is, its source and its cost."""

from tfpix2pix.settings_files import SettingsFiles

RECIPES = SettingsFiles(__name__, "A recipe", "A recipe")
