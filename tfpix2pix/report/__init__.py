"""Pages to look at results: HTML files that hold their pictures, load nothing, and open from a disk or a mail."""
