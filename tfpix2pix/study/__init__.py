"""The paper's perceptual test: `page.write_study` makes the page that raters open, `score.score` reads what they saved.

Protocol: Isola et al., 2017, §4.1, "AMT perceptual studies" (docs/study.md).
"""

PAGE = "index.html"
PRACTICE, TRIALS, SHOWN_S = 10, 40, 1.0  # the paper's: trials with feedback, trials that count, seconds of an image
