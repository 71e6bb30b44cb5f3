"""What generated projects import: a type checker that has looked at it once finds it looked at in every project."""

import collections.abc
import contextlib
import datetime
import decimal
import http
import itertools
import json
import logging.config
import math
import string
import uuid
from pathlib import Path

import alembic.autogenerate
import alembic.config
import alembic.migration
import fastapi.testclient
import pydantic_settings
import pytest
import sqlalchemy.orm
from sqlalchemy.dialects import sqlite
