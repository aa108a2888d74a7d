// Boost.JSON is used header-only: its functions are compiled here, once for the client.
#include <boost/json/src.hpp>
