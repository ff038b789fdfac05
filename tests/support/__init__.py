"""Oracles, problems, comparisons and tables that tests of several wings share."""
