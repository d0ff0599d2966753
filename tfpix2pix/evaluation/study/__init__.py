"""Runs the paper's perceptual test: `write_study` writes the page that raters open, `score` reads their results.

Protocol: Isola et al., 2017, §4.1, "AMT perceptual studies" (docs/study.md).
"""

PAGE = "index.html"
# The paper's numbers of trials with feedback and of trials that count, and the display time of an image, s.
PRACTICE, TRIALS, SHOWN_S = 10, 40, 1.0
