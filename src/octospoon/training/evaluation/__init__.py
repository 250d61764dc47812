"""Evaluates a new model beside the champion."""
