"""The paper's perceptual test: `page.write_study` writes the page that raters open, `score.score` reads their results.

Protocol: Isola et al., 2017, §4.1, "AMT perceptual studies" (docs/study.md).
"""

PAGE = "index.html"
PRACTICE, TRIALS, SHOWN_S = (
    10,
    40,
    1.0,
)  # of the paper: trials with feedback, trials that count, seconds for which an image is shown
