# Fails if an object file of an instruction set defines a weak symbol outside that set's namespace.
# The linker might keep this copy of a shared inline function for the whole program, and it has
# instructions that the processor may lack.
#
# usage: cmake -DNM=nm -DNAMESPACE=dray::kernels::avx2 -DOBJECTS=a.o,b.o -P CheckIsaSymbols.cmake
string(REPLACE "," ";" objects "${OBJECTS}")
list(LENGTH objects count)
if(count EQUAL 0)
  message(FATAL_ERROR "no objects given")
endif()
execute_process(COMMAND ${NM} -C --defined-only ${objects} OUTPUT_VARIABLE symbols
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]* [WVuwv] [^\n]*" weak "${symbols}")
list(FILTER weak EXCLUDE REGEX "${NAMESPACE}::")
if(weak)
  list(JOIN weak "\n" text)
  message(FATAL_ERROR "weak symbols outside ${NAMESPACE}:\n${text}")
endif()
