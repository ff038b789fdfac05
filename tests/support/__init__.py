"""Oracles and problems that tests of several wings share."""
